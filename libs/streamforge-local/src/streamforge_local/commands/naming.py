"""Find the workflow that a person means by a few characters."""

import re

from streamforge_local.client.api import QueueManager
from streamforge_local.client.errors import InvalidRequestError, RefusedError

_SUFFIX = re.compile(r"[0-9a-f]{6}")
_LAST = "last"


def resolve(manager: QueueManager, given: str) -> str:
    """Return the queue_id that is meant: by itself, by its last six digits, or by `last`.

    Raises:
        RefusedError: There is none, or more than one.
        InvalidRequestError: Nothing is named.
    """
    if not given.strip():
        raise InvalidRequestError("QUEUE_ID is empty: `streamforge ls` lists the workflows")
    if given == _LAST:
        newest = next(manager.workflows(limit=1), None)
        if newest is None:
            raise RefusedError("there is no workflow yet: `streamforge run` starts one")
        return newest.queue_id
    if not _SUFFIX.fullmatch(given):
        return given
    meant = [workflow.queue_id for workflow in manager.workflows() if workflow.queue_id.endswith(f"-{given}")]
    if not meant:
        raise RefusedError(f"no workflow ends in {given!r}: `streamforge ls` lists them")
    if len(meant) > 1:
        raise RefusedError(f"{given!r} may mean any of {', '.join(meant)}: name one in full")
    return meant[0]
