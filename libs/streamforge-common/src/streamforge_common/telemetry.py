"""Log lines and metrics (contract section 11), each declared once.

Logs go to stderr through loguru; the standard library's loggers (uvicorn, aiokafka) are led there too. Fields that
tell one workflow from another travel in log lines, never in metric labels: their number has no bound.
"""

import logging
import sys
from datetime import UTC
from typing import TYPE_CHECKING

import msgspec
from loguru import logger
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from streamforge_common.settings import JobSettings, LogSettings

if TYPE_CHECKING:
    from loguru import Message, Record

RECORDS = Counter(
    "streamforge_records", "Records that passed a service, by what became of them.", ["service", "type", "outcome"]
)
BATCH_SECONDS = Histogram("streamforge_batch_seconds", "Time a batch spent in a stage, seconds.", ["service", "stage"])
CONSUMER_LAG = Gauge(
    "streamforge_consumer_lag_records", "Records on the topic that are not yet acknowledged.", ["type"]
)
EXCHANGE_REQUESTS = Counter(
    "streamforge_exchange_requests", "Requests answered by an exchange.", ["exchange", "pool", "status"]
)
EXCHANGE_WEIGHT_USED = Gauge(
    "streamforge_exchange_weight_used_ratio",
    "Share of the rate limit that the exchange reports as used, 0 to 1.",
    ["exchange", "pool"],
)
MESSAGES = Counter("messages_processed", "Messages of live streams that were read.", ["stream"])
FRESHNESS = Gauge("streamforge_freshness_seconds", "Time since the last message of a live dataset, seconds.", ["type"])
WORKFLOWS = Gauge("streamforge_workflows", "Stored workflows.", ["status"])
JOBS = Gauge("streamforge_jobs", "Jobs that the launcher knows.", ["target", "status"])
EVENTS = Counter("streamforge_events", "Events that queue-manager has read; `malformed` ones are skipped.", ["status"])

_REPEATED_EVERY_S = 10.0

METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST


def metrics_page() -> bytes:
    """Render every metric of this process in Prometheus' text format."""
    return generate_latest(REGISTRY)


def configure_logging(settings: LogSettings, service: str, **fields: str | int) -> None:
    """Send all log lines to stderr in the chosen format, each carrying `service` and the given fields."""
    logger.remove()
    logger.configure(extra={"service": service, **fields})
    if settings.log_format == "json":
        logger.add(_write_json, level=settings.log_level, format="{message}")
    else:
        logger.add(sys.stderr, level=settings.log_level, format=_format_text, backtrace=False, diagnose=False)
    handler = _ToLoguru()
    handler.addFilter(_Seldom())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    logging.captureWarnings(capture=True)


def configure_job_logging(settings: JobSettings) -> None:
    """Configure the log of a job; each line says whose it is."""
    configure_logging(
        settings,
        settings.target,
        queue_id=settings.queue_id,
        telemetry_id=settings.telemetry_id,
        attempt=settings.attempt,
    )


def _write_json(message: "Message") -> None:
    record = message.record
    line = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record["level"].name,
        **record["extra"],
        "message": record["message"],
    }
    if record["exception"] is not None:
        # loguru has already rendered the traceback behind the message.
        line["traceback"] = str(message).partition("\n")[2].rstrip()
    sys.stderr.write(msgspec.json.encode(line, enc_hook=str).decode() + "\n")
    sys.stderr.flush()


def _format_text(record: "Record") -> str:
    fields = {key: value for key, value in record["extra"].items() if key != "service"}
    tail = " {extra}" if fields else ""
    return "{time:HH:mm:ss.SSS} {level: <7} {extra[service]}: {message}" + tail + "\n{exception}"


class _ToLoguru(logging.Handler):
    """Leads the standard library's log records to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname if record.levelname in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL") else "INFO"
        logger.opt(exception=record.exc_info).log(level, "{}", record.getMessage())


class _Seldom(logging.Filter):
    """Lets a complaint of aiokafka pass once in a while: while the broker is away it makes many a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[tuple[str, int], float] = {}
        """(file, line) to the last time: as many entries as there are places that complain."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        place = (record.pathname, record.lineno)
        if record.created - self._said_at.get(place, 0.0) < _REPEATED_EVERY_S:
            return False
        self._said_at[place] = record.created
        return True
