"""The servers of a platform: by which command and in which environment each runs, and when it counts as healthy."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from streamforge_local.exchange import Exchange
from streamforge_local.home import Home, PlatformInfo
from streamforge_local.jobs.programs import Program, programs_of, service_commands
from streamforge_local.ports import LOOPBACK, PortClaims, accepts_connections
from streamforge_local.settings import Settings
from streamforge_local.supervisor import Component

_PROBE_WITHIN = aiohttp.ClientTimeout(total=2.0)


_SIMULATED = ("BINANCE_SPOT_REST_URL", "BINANCE_FUTURES_REST_URL", "BINANCE_DUMPS_URL", "BYBIT_REST_URL")
"""Whose place the simulator takes; all of them answer at one address."""
_SIMULATED_STREAMS = ("BINANCE_SPOT_WS_URL", "BINANCE_FUTURES_WS_URL", "BYBIT_WS_URL")
"""The same of live streams."""


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Which programs a platform runs; this table, and no request, decides what is executed."""

    kafka: Sequence[str]
    """As `prepare_broker` gives it."""

    arangolite: Sequence[str] = field(default_factory=lambda: _module("arangolite"))
    exchange_sim: Sequence[str] = field(default_factory=lambda: _module("exchange_sim"))
    queue_manager: Sequence[str] = field(default_factory=lambda: _module("queue_manager"))

    jobs: Mapping[str, Sequence[str]] = field(default_factory=service_commands)
    """By target."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one platform, the same for its whole life."""

    kafka: int
    kafka_controller: int
    arango: int
    exchange_sim: int
    job_runner: int
    api: int

    @classmethod
    def claim(cls, claims: PortClaims) -> "Ports":
        """Claim the ports by which these servers are known, or others where they are taken."""
        return cls(
            kafka=claims.claim(9092),
            kafka_controller=claims.claim(9093),
            arango=claims.claim(8529),
            exchange_sim=claims.claim(8090),
            job_runner=claims.claim(),
            api=claims.claim(8080),
        )


class Components:
    """Makes the components of one platform, which share its addresses, its secrets and its home.

    The graces add up: together with that of the jobs, which end beside queue-manager, they stay below the 10 s within
    which a platform has to be gone.
    """

    def __init__(
        self, home: Home, settings: Settings, ports: Ports, programs: Programs, http: aiohttp.ClientSession
    ) -> None:
        """Make nothing yet.

        Args:
            home: Where data and logs go.
            settings: What the person's environment says.
            ports: Where to listen.
            programs: What to run.
            http: To ask for health with.
        """
        self._home = home
        self._inherited = {**settings.inherited, "PYTHONUNBUFFERED": "1"}
        self._exchange_overrides = dict(settings.exchange_overrides)
        self._ports = ports
        self._programs = programs
        self._http = http
        self._secrets = home.secrets()
        self._addresses = {
            "KAFKA_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{ports.kafka}",
            "ARANGO_URL": _url(ports.arango),
            "ARANGO_DATABASE": "streamforge",
            "ARANGO_USERNAME": "root",
            "ARANGO_PASSWORD": self._secrets.arango_password,
            "LOG_FORMAT": "json",
        }

    def kafka(self) -> Component:
        """The broker."""

        async def is_healthy() -> bool:
            # It listens only once it has recovered its log and is registered with its controller.
            return await asyncio.to_thread(accepts_connections, LOOPBACK, self._ports.kafka)

        return self._component("kafka", self._programs.kafka, {}, is_healthy, stop_grace_s=2.5)

    def arangolite(self) -> Component:
        """The database."""
        options = ["serve", "--host", LOOPBACK, "--port", str(self._ports.arango), "--data-dir", str(self._home.arango)]
        environment = {
            "ARANGO_ROOT_PASSWORD": self._secrets.arango_password,
            "ARANGO_JWT_SECRET": self._secrets.arango_jwt_secret,
        }
        login = {"Authorization": aiohttp.encode_basic_auth("root", self._secrets.arango_password)}
        url = f"{_url(self._ports.arango)}/_api/version"
        command = [*self._programs.arangolite, *options]
        return self._component("arangolite", command, environment, self._answers(url, login), stop_grace_s=1.5)

    def exchange_sim(self, exchange: Exchange) -> Component:
        """The exchange, when it is not the live one."""
        options = ["serve", "--port", str(self._ports.exchange_sim), *exchange.simulator_options]
        command = [*self._programs.exchange_sim, *options]
        url = f"{_url(self._ports.exchange_sim)}/api/v3/ping"
        return self._component("exchange-sim", command, {}, self._answers(url), stop_grace_s=1.0)

    def queue_manager(self, job_runner_token: str) -> Component:
        """The controller and its REST API; launches jobs with the runner that knows the token."""
        environment = {
            **self._addresses,
            "API_HOST": LOOPBACK,
            "API_PORT": str(self._ports.api),
            "JOB_RUNNER_URL": _url(self._ports.job_runner),
            "JOB_RUNNER_TOKEN": job_runner_token,
        }
        url = f"{_url(self._ports.api)}/health"
        return self._component(
            "queue-manager", self._programs.queue_manager, environment, self._answers(url), stop_grace_s=3.5
        )

    def info(self, exchange: Exchange) -> PlatformInfo:
        """How to reach the platform."""
        return PlatformInfo(
            queue_manager_url=_url(self._ports.api),
            kafka_bootstrap_servers=self._addresses["KAFKA_BOOTSTRAP_SERVERS"],
            arango_url=self._addresses["ARANGO_URL"],
            arango_database=self._addresses["ARANGO_DATABASE"],
            arango_username=self._addresses["ARANGO_USERNAME"],
            arango_password=self._addresses["ARANGO_PASSWORD"],
            exchange=exchange.kind,
            exchange_sim_url=None if exchange.is_live else _url(self._ports.exchange_sim),
            exchange_overrides=self._exchange_overrides,
        )

    def jobs(self, exchange: Exchange) -> dict[str, Program]:
        """What jobs are; an exchange's URL that the person has set wins over the chosen exchange."""
        simulated = {}
        if not exchange.is_live:
            simulated = dict.fromkeys(_SIMULATED, _url(self._ports.exchange_sim))
            simulated |= dict.fromkeys(_SIMULATED_STREAMS, f"ws://{LOOPBACK}:{self._ports.exchange_sim}")
        return programs_of(self._programs.jobs, {**simulated, **self._inherited, **self._addresses})

    def _component(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        is_healthy: Callable[[], Awaitable[bool]],
        stop_grace_s: float,
    ) -> Component:
        return Component(
            name=name,
            command=command,
            environment={**self._inherited, **environment},
            is_healthy=is_healthy,
            log=self._home.log(name),
            pid_file=self._home.pid_file(name),
            stop_grace_s=stop_grace_s,
        )

    def _answers(self, url: str, headers: Mapping[str, str] | None = None) -> Callable[[], Awaitable[bool]]:
        async def is_healthy() -> bool:
            try:
                async with self._http.get(url, headers=headers, timeout=_PROBE_WITHIN) as answer:
                    return answer.status == 200
            except (aiohttp.ClientError, TimeoutError):
                return False

        return is_healthy


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"
