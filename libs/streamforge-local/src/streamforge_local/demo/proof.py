"""What became of every candle: expected by the grid, served by the exchange, and really in the database.

Nothing here takes a service's word for it: the database is asked over its own HTTP API, the exchange over its ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from streamforge_common.contract.data_types import DataType
from streamforge_common.contract.records import record_key_prefix
from streamforge_common.contract.time_range import TimeRange
from streamforge_local.client.documents import Dataset
from streamforge_local.errors import PlatformError
from streamforge_local.home import PlatformInfo

_ANSWER_WITHIN_S = 60.0
_BATCH = 5_000
"""Keys of a query that travel in one answer."""
_KEYS = "FOR record IN @@collection RETURN record._key"
_COUNT = "FOR record IN @@collection COLLECT WITH COUNT INTO records RETURN records"


@dataclass(frozen=True, slots=True)
class Proof:
    """Numbers of records, of one dataset that has a collection of its own."""

    expected: int
    served: int | None
    """Distinct ones, by the ledger of exchange-sim; None when another exchange is asked."""
    stored: int
    missing: list[str]
    """Keys of the grid that are not in the collection."""
    foreign: int
    """Keys in the collection that are not of the grid."""

    @property
    def is_complete(self) -> bool:
        """Whether the collection holds exactly what it should."""
        return self.stored == self.expected and not self.missing and not self.foreign


class Database:
    """The platform's database, by ArangoDB's HTTP API."""

    def __init__(self, info: PlatformInfo) -> None:
        self._url = f"{info.arango_url}/_db/{info.arango_database}/_api/cursor"
        self._login = (info.arango_username, info.arango_password)

    def query(self, aql: str, bind: Mapping[str, Any] | None = None) -> list[Any]:
        """Ask in AQL and return the whole result.

        Raises:
            PlatformError: The database does not answer, or refuses the query.
        """
        with httpx.Client(auth=self._login, timeout=_ANSWER_WITHIN_S, trust_env=False) as http:
            answer = _answer(http, self._url, {"query": aql, "bindVars": dict(bind or {}), "batchSize": _BATCH})
            result: list[Any] = answer["result"]
            while answer["hasMore"]:
                answer = _answer(http, f"{self._url}/{answer['id']}", None)
                result += answer["result"]
            return result


def prove(info: PlatformInfo, dataset: Dataset) -> Proof:
    """Compare a dataset's collection with the grid of its candles.

    Raises:
        PlatformError: The database or the exchange does not answer.
    """
    grid = _grid_keys(dataset)
    database, bind = Database(info), {"@collection": dataset.collection_name}
    keys = set(database.query(_KEYS, bind))
    return Proof(
        expected=len(grid),
        served=_served(info, dataset),
        stored=int(database.query(_COUNT, bind)[0]),
        missing=sorted(grid - keys),
        foreign=len(keys - grid),
    )


def _grid_keys(dataset: Dataset) -> set[str]:
    data_type, time_range = DataType.parse(dataset.type), TimeRange.parse(dataset.time_range)
    prefix = record_key_prefix(dataset.exchange, dataset.market, dataset.symbol, data_type.kind)
    interval = data_type.interval
    first = interval.ceil(time_range.start_ms)
    candles = interval.count(time_range.start_ms, time_range.end_ms)
    return {f"{prefix}{interval.advance(first, number)}" for number in range(candles)}


def _served(info: PlatformInfo, dataset: Dataset) -> int | None:
    if info.asked_sim_url is None:
        return None
    query = {"symbol": dataset.symbol, "kind": DataType.parse(dataset.type).kind}
    url = f"{info.asked_sim_url}/_sim/served"
    try:
        with httpx.stream("GET", url, params=query, timeout=_ANSWER_WITHIN_S, trust_env=False) as ledger:
            ledger.raise_for_status()
            return sum(1 for _ in ledger.iter_lines())
    except httpx.HTTPError as exc:
        raise PlatformError(f"{url} does not say what was served: {exc}") from exc


def _answer(http: httpx.Client, url: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        answer = http.post(url, json=body)
        content: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as exc:
        raise PlatformError(f"the database does not answer at {url}: {exc}") from exc
    if not answer.is_success:
        raise PlatformError(f"the database refused a query: {content.get('errorMessage')}")
    return content
