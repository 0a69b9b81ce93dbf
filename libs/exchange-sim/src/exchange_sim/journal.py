"""What the exchange was asked, request by request, so that a test can prove how a client behaved."""

from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

_KEPT_REQUESTS: Final = 250_000
"""About 100 MB at the most; older ones are dropped, which the numbers `seq` show."""


class Request(msgspec.Struct, kw_only=True):
    """One request to the exchange's own interface; `/_sim/…` is not among them."""

    seq: int
    """From 1, without holes."""
    at: int
    """Arrival, ms since 1970."""
    method: str
    path: str
    query: str
    weight: int = 0
    used_weight: int = 0
    """Of the running minute, this request included; connections to streams weigh nothing."""
    status: int | None = None
    """None when nothing was answered (yet)."""
    rows: int = 0
    """Items in the answer."""
    retry_after: int | None = None
    """Seconds, when the answer carried the header."""
    in_ban: bool = False
    """Whether it came while a ban was on; the request that brought the ban about did not."""
    ban_age_ms: int | None = None
    """How long the ban had lasted: one sent before its answer could be read is a few ms old."""
    fault: str | None = None
    """The kind of the fault that this request met."""


class Journal:
    """The last requests, oldest first."""

    def __init__(self) -> None:
        self._requests: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self._seq = 0

    def next_seq(self) -> int:
        """The number of the next request."""
        self._seq += 1
        return self._seq

    def add(self, request: Request) -> None:
        """Keep a request; its answer is filled in once it is known."""
        self._requests.append(request)

    def __iter__(self) -> Iterator[Request]:
        return iter(list(self._requests))
