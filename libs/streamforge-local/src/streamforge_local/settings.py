"""What the embedded platform takes from the environment of the person who starts it.

This is the only module that reads environment variables. Everything below gets values.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_EXCHANGE_ADDRESSES = frozenset(
    {
        "BINANCE_SPOT_REST_URL",
        "BINANCE_SPOT_WS_URL",
        "BINANCE_FUTURES_REST_URL",
        "BINANCE_FUTURES_WS_URL",
        "BINANCE_DUMPS_URL",
        "BYBIT_REST_URL",
        "BYBIT_WS_URL",
    }
)

PLATFORM_OWNED = frozenset(
    {
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_SECURITY_PROTOCOL",
        "KAFKA_SASL_MECHANISM",
        "KAFKA_SASL_USERNAME",
        "KAFKA_SASL_PASSWORD",
        "KAFKA_SSL_CAFILE",
        "QUEUE_CONTROL_TOPIC",
        "QUEUE_EVENTS_TOPIC",
        "ARANGO_URL",
        "ARANGO_DATABASE",
        "ARANGO_USERNAME",
        "ARANGO_PASSWORD",
        "API_HOST",
        "API_PORT",
        "LOG_FORMAT",
        "METRICS_PORT",
        "LAUNCHER",
        "JOB_RUNNER_URL",
        "JOB_RUNNER_TOKEN",
        "QUEUE_ID",
        "TARGET",
        "TELEMETRY_ID",
        "ATTEMPT",
        "COMMANDS_SINCE",
        "INTERRUPTED_EXIT_CODE",
        "STREAMFORGE_API_KEY",
    }
)
"""The contract's variables that the platform decides itself: a leftover `KAFKA_SASL_USERNAME` must not reach a job.

Nor must the person's API key, which is for the command line alone."""


_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment, read once."""

    inherited: Mapping[str, str]
    """What every child process starts from: the person's environment without the variables that the platform owns."""

    cache_folder: Path
    """Where downloads are kept for all platforms of this user."""

    java_home: Path | None
    """Which Java to use; without it the first `java` on the path."""

    exchange_overrides: Mapping[str, str]
    """Addresses of exchanges that the person has set, by the name of the variable: jobs ask there."""

    api_key: str | None
    """By which queue-manager knows the person; where none is set, a home folder may hold one."""

    binance_spot_rest_url: str | None
    """Set by a person who has Binance behind another address; asked by `--exchange auto`."""

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment of this process."""
        environment = dict(os.environ)  # noqa: TID251  # the one place
        cache = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        java_home = environment.get("JAVA_HOME")
        return cls(
            inherited={
                **{name: value for name, value in environment.items() if name not in PLATFORM_OWNED},
                **dict.fromkeys(("NO_PROXY", "no_proxy"), _past_the_proxy(environment)),
            },
            cache_folder=Path(cache) / "streamforge",
            java_home=Path(java_home) if java_home else None,
            exchange_overrides={
                name: environment[name] for name in sorted(_EXCHANGE_ADDRESSES) if environment.get(name)
            },
            api_key=environment.get("STREAMFORGE_API_KEY") or None,
            binance_spot_rest_url=environment.get("BINANCE_SPOT_REST_URL"),
        )


def _past_the_proxy(environment: Mapping[str, str]) -> str:
    """Name the hosts that no process of the platform asks by a proxy: the person's, and this machine's loopback."""
    hosts = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    # A lone * means all of them, and means nothing beside others.
    return hosts if hosts.strip() == "*" else ",".join([*filter(None, [hosts]), *_LOOPBACK_HOSTS])
