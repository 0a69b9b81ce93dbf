"""queue-manager as the platform starts it, but mortal: it kills itself right before or after a named side effect.

`python -m tests.chaos.mortal_queue_manager FOLDER`. Where FOLDER holds a file `before-<effect>` or `after-<effect>`
with a number n in it, the process lets n of these effects pass and dies at the next one as by `kill -9`. It renames the
file to `<name>.<its process id>` first: the proof that it died there, and why its successor does not die there again.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

from queue_manager.__main__ import main
from queue_manager.adapters.local_jobs import LocalLauncher
from queue_manager.adapters.messages import KafkaControlLog
from queue_manager.adapters.store import ArangoWorkflowStore
from streamforge_common.kafka.messages import PlaceReader

EFFECTS: dict[str, tuple[type, str]] = {
    "claim-key": (ArangoWorkflowStore, "claim_key"),
    "insert": (ArangoWorkflowStore, "insert"),
    "confirm-key": (ArangoWorkflowStore, "confirm_key"),
    "replace": (ArangoWorkflowStore, "replace"),
    "copy-audit": (ArangoWorkflowStore, "_copy_outbox"),
    "note-ban": (ArangoWorkflowStore, "note_ban"),
    "drop-collection": (ArangoWorkflowStore, "drop_collection"),
    "forget": (ArangoWorkflowStore, "forget"),
    "create-topic": (KafkaControlLog, "create_data_topic"),
    "set-retention": (KafkaControlLog, "set_retention"),
    "delete-topic": (KafkaControlLog, "delete_topic"),
    "tell": (KafkaControlLog, "tell"),
    "commit-place": (PlaceReader, "commit"),
    "launch": (LocalLauncher, "launch"),
    "delete-job": (LocalLauncher, "delete"),
}
"""Everything that queue-manager changes outside of itself, by a name for people."""

_passed: dict[str, int] = {}


def _die_if_wanted(folder: Path, point: str) -> None:
    file = folder / point
    if not file.exists():
        return
    if _passed.setdefault(point, 0) < int(file.read_text()):
        _passed[point] += 1
        return
    file.rename(file.with_name(f"{point}.{os.getpid()}"))
    os.kill(os.getpid(), signal.SIGKILL)


def _mortal(folder: Path, effect: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def carry_out(*args: Any, **kwargs: Any) -> Any:
        _die_if_wanted(folder, f"before-{effect}")
        result = await method(*args, **kwargs)
        _die_if_wanted(folder, f"after-{effect}")
        return result

    return carry_out


if __name__ == "__main__":
    for effect, (owner, name) in EFFECTS.items():
        setattr(owner, name, _mortal(Path(sys.argv[1]), effect, getattr(owner, name)))
    main()
