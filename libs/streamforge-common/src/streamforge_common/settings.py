"""The environment variables of the contract (section 10), in groups that each service combines.

Names are flat and without a prefix. A service declares one frozen `Settings` from these groups, builds it once in its
`__main__` and hands values down; nothing else reads the environment.
"""

from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsGroup(BaseSettings):
    """What all groups agree on."""

    model_config = SettingsConfigDict(
        frozen=True, use_attribute_docstrings=True, extra="ignore", populate_by_name=True, case_sensitive=False
    )


Settings = TypeVar("Settings", bound=SettingsGroup)


def read_settings(kind: type[Settings], **given: Any) -> Settings:  # noqa: ANN401
    """Read the environment, but for what is given; a wrong variable ends the process with one line that names it."""
    try:
        return kind(**given)
    except ValidationError as exc:
        faults = "; ".join(f"{_variable(error['loc'])}: {error['msg']}" for error in exc.errors())
        raise SystemExit(f"wrong environment: {faults}") from None


def _variable(loc: tuple[int | str, ...]) -> str:
    """Name the variable at fault, and the place inside it where it holds JSON."""
    return ".".join([str(loc[0]).upper(), *map(str, loc[1:])])


class LogSettings(SettingsGroup):
    """How log lines are written."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least important level that is written."""
    log_format: Literal["json", "text"] = "json"
    """`json`: one object a line, for machines; `text`: for a person at a terminal."""


class KafkaSettings(SettingsGroup):
    """Where the broker is and how to be let in."""

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    """Comma-separated `host:port`."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """As Kafka names them."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """Used with the SASL protocols only."""
    kafka_sasl_username: str | None = None
    """Used with the SASL protocols only."""
    kafka_sasl_password: SecretStr | None = None
    """Used with the SASL protocols only."""
    kafka_ssl_cafile: str | None = None
    """File with the authorities that are trusted; the system's own when absent."""
    queue_control_topic: str = "queue-control"
    """Carries commands, from queue-manager to the tasks."""
    queue_events_topic: str = "queue-events"
    """Carries events, from the tasks to queue-manager."""


class ArangoSettings(SettingsGroup):
    """Where the database is and how to be let in."""

    arango_url: str = "http://127.0.0.1:8529"
    """Base URL of ArangoDB's HTTP API."""
    arango_database: str = "streamforge"
    """The one database that StreamForge uses."""
    arango_username: str = "root"
    """Needs to read and write `arango_database`."""
    arango_password: SecretStr = SecretStr("")
    """Its password."""


class OutageSettings(SettingsGroup):
    """How long a lost neighbour is waited for."""

    outage_seconds: float = Field(default=600, gt=0)
    """Seconds a lost broker or database is waited for, with `/health` 503, before it is fatal."""


class JobSettings(LogSettings, KafkaSettings, OutageSettings):
    """What every job is told by its launcher."""

    queue_id: str
    """The workflow."""
    target: str
    """The service's part in it."""
    telemetry_id: str
    """The task; also the consumer group."""
    attempt: int = Field(default=1, ge=1)
    """The launch of the task that this job executes."""
    commands_since: int = Field(default=0, ge=0)
    """Unix milliseconds: commands written before cannot be for this task."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port of `/health` and `/metrics`; 0 takes a free one, which the `starting` event names."""
    instance: str | None = None
    """Which of several processes that share the task this one is; None where it has the task to itself."""
    stays_when_done: bool = False
    """Whether the process stays when its work has ended, until SIGTERM: what would start it again whatever its exit
    code is, as a Deployment of Kubernetes does, is deleted by queue-manager instead."""
    interrupted_exit_code: int = Field(default=0, ge=0, le=255)
    """How the process ends when SIGTERM has ended its work. A launcher that would take 0 for the end of the work, as
    Kubernetes does, sets another one."""


class ExchangeSettings(SettingsGroup):
    """Where the exchanges are; the defaults are their public addresses."""

    binance_spot_rest_url: str = "https://api.binance.com"
    """Binance spot, REST."""
    binance_spot_ws_url: str = "wss://stream.binance.com:9443"
    """Binance spot, live streams."""
    binance_futures_rest_url: str = "https://fapi.binance.com"
    """Binance USDⓈ-M futures, REST."""
    binance_futures_ws_url: str = "wss://fstream.binance.com"
    """Binance USDⓈ-M futures, live streams."""
    binance_dumps_url: str = "https://data.binance.vision"
    """Binance's public archives, of all markets."""
    bybit_rest_url: str = "https://api.bybit.com"
    """Bybit v5, all markets, REST."""
    bybit_ws_url: str = "wss://stream.bybit.com"
    """Bybit v5, all markets, live streams."""
