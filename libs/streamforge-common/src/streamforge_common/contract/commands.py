"""What queue-manager tells tasks (contract section 2), and how a task folds it into one wanted state."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

SHARE_MARGIN_S = 10.0
"""How long a command may be on its way to those who have to use less before others use more."""
_LONGEST_WINDOW_S = 3_600.0
"""No exchange has longer ones, for which shares would have to be remembered."""

Shares = tuple[tuple[float, float], ...]
"""When (Unix seconds) which share was told, the latest last."""


class CommandKind(StrEnum):
    """What a task is told."""

    START = "start"
    DRAIN = "drain"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"


class Command(BaseModel):
    """One message on `queue-control`; a field that does not apply is the empty string."""

    model_config = ConfigDict(frozen=True)

    command: CommandKind
    queue_id: str
    target: str
    telemetry_id: str
    attempt: int
    exchange: str = ""
    market: str = ""
    symbol: str = ""
    type: str = ""
    time_range: str = ""
    kafka_topic: str = ""
    collection_name: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    end_offsets: dict[Annotated[str, StringConstraints(pattern=r"^[0-9]+$")], int] | None = None
    """With `drain`: partition (as a string) to the offset to reach."""
    image: str = ""
    timestamp: float
    """Unix seconds."""

    @model_validator(mode="after")
    def _a_drain_says_how_far(self) -> Self:
        # Without an end every place would count as reached, and what comes after it as drained.
        if self.command is CommandKind.DRAIN and not self.end_offsets:
            raise ValueError("a drain command needs end_offsets")
        return self

    @property
    def banned_until_s(self) -> float:
        """Of a `start`: until when the exchange wants nothing from this address, Unix seconds; else 0."""
        until_s = self.options.get("banned_until", 0.0)
        return float(until_s) if isinstance(until_s, int | float) else 0.0

    @property
    def share(self) -> float | None:
        """Of a `start`: the share of limits whose use the exchange does not tell, None where none is told."""
        share = self.options.get("share")
        return float(share) if isinstance(share, int | float) else None

    @property
    def rate(self) -> float:
        """Of a `start`: the share of every limit of the exchange that the task may use at most."""
        rate = self.options.get("rate", 1.0)
        return float(rate) if isinstance(rate, int | float) else 1.0

    def encode(self) -> bytes:
        """Return the message's value."""
        return self.model_dump_json(exclude_none=True).encode()


class Wanted(BaseModel):
    """What the commands of one attempt, read in order, ask of a task; reading one twice changes nothing."""

    model_config = ConfigDict(frozen=True)

    start: Command | None = None
    paused: bool = False
    steered_at_s: float = 0.0
    """When the latest `pause` or `resume` was decided: an earlier one that is told again later says nothing."""
    stopped: bool = False
    banned_until_s: float = 0.0
    """The latest of what `start` commands say: one that is repeated tells a running task of a ban."""
    shares: Shares = ()
    """As `start` commands told them."""
    end_offsets: dict[int, int] | None = None
    """No more input will come than up to here; None while it may."""

    def fold(self, command: Command) -> "Wanted":
        """Return the wanted state after one more command; nothing takes back a `stop`."""
        match command.command:
            case CommandKind.START:
                until_s = max(self.banned_until_s, command.banned_until_s)
                shares = self._shares_with(command)
                return self.model_copy(
                    update={"start": self.start or command, "banned_until_s": until_s, "shares": shares}
                )
            case CommandKind.DRAIN:
                offsets = {int(partition): offset for partition, offset in (command.end_offsets or {}).items()}
                return self.model_copy(update={"end_offsets": offsets})
            case CommandKind.STOP:
                return self.model_copy(update={"stopped": True})
            case CommandKind.PAUSE | CommandKind.RESUME if command.timestamp >= self.steered_at_s:
                paused = command.command is CommandKind.PAUSE
                return self.model_copy(update={"paused": paused, "steered_at_s": command.timestamp})
            case _:
                return self

    def share(self, window_s: float, now_s: float) -> float:
        """Return the share of a limit that may be used now, all of it where none was told.

        A smaller share counts at once. A larger one counts when it has been told for a window of the limit: until then
        what others have sent under their larger shares may lie in the same window.

        Args:
            window_s: Of the limit.
            now_s: Unix seconds.
        """
        in_force = _in_force_since(now_s - window_s - SHARE_MARGIN_S, self.shares)
        return min((share for _, share in in_force), default=1.0)

    def _shares_with(self, command: Command) -> Shares:
        """Return the shares with that of a `start`; one that is told again says nothing."""
        if command.share is None:
            return self.shares
        if self.shares and (command.timestamp < self.shares[-1][0] or command.share == self.shares[-1][1]):
            return self.shares
        shares = (*self.shares, (command.timestamp, command.share))
        return _in_force_since(command.timestamp - _LONGEST_WINDOW_S - SHARE_MARGIN_S, shares)


def _in_force_since(since_s: float, shares: Shares) -> Shares:
    """Return the shares but those in whose place another one was told before a time."""
    return tuple(it for it, after in pairwise(shares) if after[0] >= since_s) + shares[-1:]
