"""The port between the exchange's live streams and where their messages come from."""

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from exchange_sim.pages import Page


class Topic(NamedTuple):
    """What can be subscribed to."""

    market: str
    """`binance:spot`, `binance:um`, `bybit:spot`, `bybit:linear`."""
    stream: str
    """As the exchange names it, e.g. `btcusdt@trade`."""


@dataclass(frozen=True, slots=True)
class Push:
    """One message of a stream."""

    topic: Topic
    message: bytes
    """JSON, as the exchange sends it."""
    page: Page | None
    """The items that the ledger counts once it is sent; None where the message tells of none."""
    whole: Callable[[], bytes] | None = None
    """Makes the message that a new subscriber gets in its place, where that must begin with all there is."""


class Audience(Protocol):
    """Who has subscribed to what."""

    @property
    def topics(self) -> Collection[Topic]:
        """What somebody has subscribed to."""
        ...

    async def wait(self) -> None:
        """Return once somebody has subscribed to something."""
        ...


class Feed(Protocol):
    """Where messages come from."""

    @property
    def waits(self) -> bool:
        """Whether it goes at the pace of those who read it; else who is too slow is cut off."""
        ...

    def pushes(self, audience: Audience) -> AsyncIterator[Push]:
        """Yield messages as they are due; of what nobody wants then, none need be made."""
        ...
