"""How a request becomes a stored workflow: checked, laid out under six free digits, stored once per idempotency key."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Any

from queue_manager.app.ports import Submission, SuffixTakenError, WorkflowStore
from queue_manager.app.requests import CheckedRequest, FieldError, InvalidRequestError, WorkflowRequest, check_request
from queue_manager.app.workflow import Workflow, new_workflow
from streamforge_common.errors import TransientError
from streamforge_common.ids import new_suffix

_SUFFIX_DRAWS = 20
"""With a million stored workflows one draw in seventeen is taken; twenty in a row never are."""


class Intake:
    """Takes new workflows."""

    def __init__(self, store: WorkflowStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    async def take(self, request: WorkflowRequest, idempotency_key: str | None, *, by: str | None) -> Workflow:
        """Store a new workflow; the same request under the same key gets the first answer again.

        Args:
            request: What is asked for.
            idempotency_key: Under which the answer is kept, if at all.
            by: The id of the API key that asks, for the audit trail.

        Raises:
            InvalidRequestError: The request cannot be carried out, or its key came with another body before.
        """
        now = self._clock()
        checked = check_request(request, now)
        as_given = request.model_dump(exclude_unset=True)
        drawn = await self._draw(as_given, checked, now, by)
        if idempotency_key is None:
            await self._store.insert(drawn)
            return drawn
        digest = sha256(json.dumps(as_given, sort_keys=True).encode()).hexdigest()
        first = await self._store.claim_key(idempotency_key, Submission(digest, drawn))
        if first.body_digest != digest:
            detail = "this key came with another body before; take a new key for a new request"
            raise InvalidRequestError([FieldError(pointer="#/header/Idempotency-Key", detail=detail)])
        if not first.is_stored:
            # Whoever took the key before may have died in between; then the workflow may be stored already or not.
            with suppress(SuffixTakenError):
                await self._store.insert(first.workflow)
            await self._store.confirm_key(idempotency_key)
        return first.workflow

    async def _draw(self, as_given: dict[str, Any], checked: CheckedRequest, now: datetime, by: str | None) -> Workflow:
        for _ in range(_SUFFIX_DRAWS):
            suffix = new_suffix()
            if not await self._store.has_suffix(suffix):
                return new_workflow(as_given, checked, suffix, now, by)
        raise TransientError(f"no free suffix in {_SUFFIX_DRAWS} draws")
