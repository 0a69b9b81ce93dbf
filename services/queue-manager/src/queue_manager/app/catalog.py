"""Every combination of exchange, market and type that can be asked for, and the targets that serve it."""

from pydantic import BaseModel

from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.exchanges import REST_MARKETS, STREAM_MARKETS

LOADER, LIVE_LOADER, CONNECTOR = "loader-producer", "loader-ws", "arango-connector"
LOADERS = frozenset({LOADER, LIVE_LOADER})
TARGETS = (LOADER, LIVE_LOADER, CONNECTOR)


def targets_of(source: Source) -> tuple[str, str]:
    """Return the targets that load and store the types of a source."""
    return (LIVE_LOADER if source is Source.WS else LOADER), CONNECTOR


class CatalogEntry(BaseModel):
    """One combination."""

    exchange: str
    market: str
    type: str
    live: bool
    targets: list[str]


def catalog_entries() -> list[CatalogEntry]:
    """List every combination, intervals spelt out."""
    kinds = [
        *((of, Source.API, kind) for of, market in REST_MARKETS.items() for kind in market.histories),
        *((of, Source.WS, kind) for of, market in STREAM_MARKETS.items() for kind in market.streams),
    ]
    return [
        CatalogEntry(
            exchange=exchange,
            market=market,
            type=str(DataType(source, kind)),
            live=source.is_live,
            targets=list(targets_of(source)),
        )
        for (exchange, market), source, kind in kinds
    ]
