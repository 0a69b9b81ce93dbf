"""What queue-manager tells tasks (contract section 2), and how a task folds it into one wanted state."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


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
    end_offsets: dict[int, int] | None = None
    """No more input will come than up to here; None while it may."""

    def fold(self, command: Command) -> "Wanted":
        """Return the wanted state after one more command; nothing takes back a `stop`."""
        match command.command:
            case CommandKind.START:
                until_s = max(self.banned_until_s, command.banned_until_s)
                return self.model_copy(update={"start": self.start or command, "banned_until_s": until_s})
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
