"""Every combination of exchange, market and type that can be asked for, and the targets that serve it."""

from pydantic import BaseModel

from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.exchanges import REST_MARKETS

LOADER, CONNECTOR = "loader-producer", "arango-connector"
TARGETS = (LOADER, CONNECTOR)


class CatalogEntry(BaseModel):
    """One combination."""

    exchange: str
    market: str
    type: str
    live: bool
    targets: list[str]


def catalog_entries() -> list[CatalogEntry]:
    """List every combination, intervals spelt out."""
    return [
        CatalogEntry(
            exchange=market.exchange,
            market=market.market,
            type=str(DataType(Source.API, kind)),
            live=Source.API.is_live,
            targets=list(TARGETS),
        )
        for market in REST_MARKETS.values()
        for kind in market.histories
    ]
