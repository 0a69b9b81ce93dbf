"""Every combination of exchange, market and type that can be asked for, and the targets that serve it."""

from pydantic import BaseModel

from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.exchanges import ARCHIVE_MARKETS, REST_MARKETS

LOADER, CONNECTOR = "loader-producer", "arango-connector"
TARGETS = (LOADER, CONNECTOR)


class CatalogEntry(BaseModel):
    """One combination."""

    exchange: str
    market: str
    type: str
    live: bool
    targets: list[str]


def types_of(exchange: str, market: str) -> list[DataType]:
    """List what can be asked for of one market."""
    archives = ARCHIVE_MARKETS.get((exchange, market))
    history = [DataType(Source.API, kind) for kind in REST_MARKETS[exchange, market].histories]
    return [*history, *(DataType(Source.DUMP, kind) for kind in (archives.archives if archives else ()))]


def catalog_entries() -> list[CatalogEntry]:
    """List every combination, intervals spelt out."""
    return [
        CatalogEntry(
            exchange=exchange,
            market=market,
            type=str(data_type),
            live=data_type.source.is_live,
            targets=list(TARGETS),
        )
        for exchange, market in REST_MARKETS
        for data_type in types_of(exchange, market)
    ]
