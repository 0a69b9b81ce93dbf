"""Names and identities: how the contract builds each from the others (section 1).

Nobody takes a queue_id apart; what a part of the platform needs to know travels beside it.
"""

import re
import secrets
from datetime import date
from typing import NewType

QueueId = NewType("QueueId", str)
TelemetryId = NewType("TelemetryId", str)

SYMBOL_PATTERN = re.compile(r"[A-Z0-9][A-Z0-9_-]{1,29}")
COLLECTION_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,199}")

_QUEUE_ID_MAX = 63
"""The length of a Kubernetes label value, where queue_ids are written."""

_COLLECTION_PREFIXES = {
    ("binance", "spot"): "",
    ("binance", "um"): "um_",
    ("bybit", "spot"): "bybit_",
    ("bybit", "linear"): "bybit_linear_",
}


def new_suffix() -> str:
    """Draw the six hexadecimal digits that tell one workflow from every other."""
    return secrets.token_hex(3)


def make_queue_id(middle: str, day: date, suffix: str) -> QueueId:
    """Name a workflow; `middle` (`<symbol>-<type>` or the request's name) is cut where the whole is too long."""
    tail = f"-{day:%Y%m%d}-{suffix}"
    room = _QUEUE_ID_MAX - len("wf-") - len(tail)
    return QueueId(f"wf-{middle.lower()[:room].rstrip('-_')}{tail}")


def make_telemetry_id(target: str, suffix: str) -> TelemetryId:
    """Name a task, which is also its consumer group."""
    return TelemetryId(f"{target}__{suffix}")


def suffix_of(telemetry_id: TelemetryId) -> str:
    """Return what follows the target in a task's name."""
    return telemetry_id.partition("__")[2]


def make_job_name(telemetry_id: TelemetryId, attempt: int) -> str:
    """Name the job of one attempt."""
    return f"{telemetry_id.replace('__', '-', 1)}-{attempt}"


def make_data_topic(queue_id: QueueId) -> str:
    """Name the topic that carries a workflow's records."""
    return f"{queue_id}-data"


def make_collection_name(exchange: str, market: str, symbol: str, data_type: str, day: date) -> str:
    """Name the collection where a dataset is stored when the request names none."""
    prefix = _COLLECTION_PREFIXES[exchange, market]
    name = f"{prefix}{symbol}_{data_type}_{day:%Y_%m_%d}".lower().replace("-", "_")
    return f"s_{name}" if name[0].isdigit() else name
