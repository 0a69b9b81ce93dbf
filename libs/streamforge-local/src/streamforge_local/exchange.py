"""Which exchange the jobs of a platform talk to: the real one, the simulated market, or recorded files."""

import asyncio
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from streamforge_local.errors import PlatformError
from streamforge_local.home import Home
from streamforge_local.processes import ChildProcess
from streamforge_local.settings import Settings

_BINANCE = "https://api.binance.com"

_ANSWER_WITHIN_S = 3.0
"""Contract section 9: `auto` takes the real exchange when it answers within this time."""


class ExchangeKind(StrEnum):
    """What `--exchange` can say."""

    AUTO = "auto"
    LIVE = "live"
    SIMULATED = "simulated"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The exchange that was asked for, or that was chosen."""

    kind: ExchangeKind

    replay: Path | None = None
    """Recorded file or folder, for a replay."""

    speed: float | None = None
    """How many times faster than the clock the simulation runs; None is its default."""

    because: str = ""
    """Why `auto` chose it."""

    @classmethod
    def parse(cls, text: str, speed: float | None) -> "Exchange":
        """Read `auto`, `live`, `simulated` or `replay:PATH`.

        Raises:
            PlatformError: It is none of them, the path does not exist, or the real exchange should change its speed.
        """
        name, _, path = text.partition(":")
        try:
            kind = ExchangeKind(name)
        except ValueError:
            kind = None
        if kind is None or (kind is ExchangeKind.REPLAY) != bool(path):
            raise PlatformError(f"--exchange is {text!r}, expected auto, live, simulated or replay:PATH")
        if kind is ExchangeKind.LIVE and speed is not None:
            raise PlatformError("--speed is for simulated and replay: the live exchange keeps its own time")
        replay = Path(path).expanduser().absolute() if path else None
        if replay is not None and not replay.exists():
            raise PlatformError(f"--exchange replay: there is no {replay}")
        return cls(kind, replay, speed)

    @property
    def is_live(self) -> bool:
        """Whether it is the real one, in which case nothing is started for it."""
        return self.kind is ExchangeKind.LIVE

    @property
    def simulator_options(self) -> list[str]:
        """What `exchange-sim serve` has to be told beside the port."""
        options = []
        if self.replay is not None:
            options += ["--replay", str(self.replay)]
        if self.speed is not None:
            options += ["--speed", f"{self.speed:g}"]
        return options


async def settle(exchange: Exchange, settings: Settings, home: Home) -> Exchange:
    """Turn `auto` into live or simulated, whichever can be had."""
    if exchange.kind is not ExchangeKind.AUTO:
        return exchange
    url = settings.binance_spot_rest_url or _BINANCE
    if await _answers_json(f"{url}/api/v3/time", settings, home.log("exchange-probe")):
        return Exchange(ExchangeKind.LIVE, because=f"{url} answers")
    because = f"{url} gave no JSON within {_ANSWER_WITHIN_S:g} s"
    return Exchange(ExchangeKind.SIMULATED, speed=exchange.speed, because=because)


async def _answers_json(url: str, settings: Settings, log: Path) -> bool:
    # A process of its own: a look-up of the name can hang for half a minute and a thread in it cannot be ended.
    probe = await ChildProcess.start(
        [sys.executable, "-m", "streamforge_local.exchange_probe", url], settings.inherited, log
    )
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            return await probe.wait() == 0
    except TimeoutError:
        return False
    finally:
        probe.kill()
        await probe.wait()
