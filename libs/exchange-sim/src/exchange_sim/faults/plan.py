"""Which request, and which message of a stream, meets which fault.

A plan is a list of faults. Each watches the requests to its path, or the messages of its stream, lets some pass and
then fires a number of times; of several that are due the first in the list takes the request, the others wait for the
next one. A fault that cannot show on an answer (there are no rows to leave out) waits too, so that `fired` proves what
the client was really given.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Final

import msgspec


class FaultKind(StrEnum):
    """What a fault does to a request."""

    TOO_MANY_REQUESTS = "429"
    BAN = "418"
    INTERNAL_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"
    TIMEOUT = "timeout"
    SLOW = "slow"
    RESET = "reset"
    TRUNCATED_JSON = "truncated_json"
    MALFORMED_JSON = "malformed_json"
    HTML = "html"
    SHORT_PAGE = "short_page"
    DUPLICATED_ROWS = "duplicated_rows"
    MISSING_ROWS = "missing_rows"
    WRONG_CHECKSUM = "wrong_checksum"
    CORRUPT_ZIP = "corrupt_zip"
    MISSING_FILE = "missing_file"
    CUT_FILE = "cut_file"
    DISCONNECT = "disconnect"
    STALL = "stall"
    LOST_MESSAGE = "lost_message"
    DUPLICATED_MESSAGE = "duplicated_message"
    REORDERED_MESSAGE = "reordered_message"
    TRUNCATED_FRAME = "truncated_frame"
    SERVER_SHUTDOWN = "server_shutdown"


_OF_STREAMS: Final = frozenset(
    {
        FaultKind.DISCONNECT,
        FaultKind.STALL,
        FaultKind.LOST_MESSAGE,
        FaultKind.DUPLICATED_MESSAGE,
        FaultKind.REORDERED_MESSAGE,
        FaultKind.TRUNCATED_FRAME,
        FaultKind.SERVER_SHUTDOWN,
    }
)
"""They befall messages of live streams, the others requests."""

_DEFAULT_SECONDS: Final = {
    FaultKind.TOO_MANY_REQUESTS: 1.0,
    FaultKind.BAN: 120.0,
    FaultKind.SLOW: 2.0,
    FaultKind.STALL: 30.0,
    FaultKind.SERVER_SHUTDOWN: 5.0,
}

LEAST_ROWS: Final = {FaultKind.SHORT_PAGE: 2, FaultKind.DUPLICATED_ROWS: 1, FaultKind.MISSING_ROWS: 3}
"""How many rows an answer must have for the fault to show; missing rows are taken from between others."""


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One fault as it is asked for."""

    path: str
    """The path of the requests, e.g. `/api/v3/klines`, or the name of the stream; `*` stands for anything."""
    kind: FaultKind
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    """How often it fires."""
    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many requests to the path pass before."""
    seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Of `429` what Retry-After says, of `418` how long the ban lasts, of `slow` how long the answer takes, of `stall`
    how long the silence, of `server_shutdown` when the connection is cut."""

    @property
    def lasting_s(self) -> float:
        """The seconds asked for, or the kind's own."""
        return self.seconds if self.seconds is not None else _DEFAULT_SECONDS.get(self.kind, 0.0)


class PlannedFault(msgspec.Struct):
    """A fault and what became of it."""

    fault: Fault
    seen: int = 0
    """Requests to its path so far."""
    fired: int = 0

    @property
    def is_due(self) -> bool:
        """Whether it would take this request, which it has already seen."""
        return self.seen > self.fault.after and self.fired < self.fault.count


class FaultPlan:
    """The faults of now."""

    def __init__(self) -> None:
        self.planned: list[PlannedFault] = []

    def replace(self, faults: Sequence[Fault]) -> None:
        """Forget the old plan and begin a new one; what fired before is counted no more."""
        self.planned = [PlannedFault(fault) for fault in faults]

    def take(self, path: str, shows: Callable[[FaultKind], bool]) -> Fault | None:
        """Show a request to the plan; the fault that it meets, if any.

        Args:
            path: The request's path.
            shows: Whether a fault could be seen on its answer.
        """
        return self._take(path, shows, is_stream=False)

    def take_on_stream(self, stream: str) -> Fault | None:
        """Show a message that is about to be sent to one client; the fault that it meets, if any."""
        return self._take(stream, lambda _: True, is_stream=True)

    def _take(self, path: str, shows: Callable[[FaultKind], bool], *, is_stream: bool) -> Fault | None:
        watching = [
            planned
            for planned in self.planned
            if (planned.fault.kind in _OF_STREAMS) is is_stream and fnmatchcase(path, planned.fault.path)
        ]
        for planned in watching:
            planned.seen += 1
        due = next((it for it in watching if it.is_due and shows(it.fault.kind)), None)
        if due is None:
            return None
        due.fired += 1
        return due.fault
