"""Records on their way from the exchange to the broker, in order and never too many.

When the broker is slow nobody reads the connection any more: the exchange notices, and what it then drops is a hole
that is seen, counted and reported, which memory that runs full is not.
"""

import asyncio
from collections.abc import Sequence

from streamforge_common.contract.records import Headers

Outgoing = tuple[bytes, bytes, Headers]
"""Key, value and headers of a message to be published."""

_MOST_RECORDS = 20_000
"""Some 8 MB; at the pace of a busy market about ten seconds."""


class Backlog:
    """What has been received and is not published."""

    def __init__(self) -> None:
        self._messages: list[Outgoing] = []
        self._grown = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def wait_for_room(self) -> None:
        """Return when more may be added; what one frame holds fits then."""
        await self._has_room.wait()

    def add(self, messages: Sequence[Outgoing]) -> None:
        """Add what one frame holds."""
        self._messages += messages
        if self._messages:
            self._grown.set()
        if len(self._messages) >= _MOST_RECORDS:
            self._has_room.clear()

    async def wait_for_more(self, timeout_s: float) -> None:
        """Return when there is something, or after the time-out."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._grown.wait()
        except TimeoutError:
            return

    def take(self) -> list[Outgoing]:
        """Return all there is, and forget it."""
        messages, self._messages = self._messages, []
        self._grown.clear()
        self._has_room.set()
        return messages
