"""Every combination of exchange, market and type that can be asked for, and the targets that serve it."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from pydantic import BaseModel

from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.exchanges import ARCHIVE_MARKETS, REST_MARKETS, STREAM_MARKETS

LOADER, LIVE_LOADER, CONNECTOR = "loader-producer", "loader-ws", "arango-connector"
LOADERS = frozenset({LOADER, LIVE_LOADER})
TARGETS = (LOADER, LIVE_LOADER, CONNECTOR)


def targets_of(source: Source) -> tuple[str, str]:
    """Return the targets that load and store the types of a source."""
    return (LIVE_LOADER if source.is_live else LOADER), CONNECTOR


class Offer(NamedTuple):
    """What a market gives by one source."""

    kinds: Collection[str]
    lacks: Mapping[str, str]
    """Kinds that users look for in vain to why, and what to ask for instead."""


def offers_of(exchange: str, market: str) -> dict[Source, Offer]:
    """Return what there is of a market; nothing where there is no such market."""
    of = exchange, market
    offers = {}
    if (rest := REST_MARKETS.get(of)) is not None:
        momentary = [kind for kind, poll in rest.polls.items() if poll.kind.is_momentary]
        offers[Source.API] = Offer([*rest.histories, *momentary], rest.lacks)
        offers[Source.POLL] = Offer(rest.polls.keys(), rest.lacks)
        if (archives := ARCHIVE_MARKETS.get(of)) is not None:
            offers[Source.DUMP] = Offer(archives.archives.keys(), rest.lacks)
    if (streams := STREAM_MARKETS.get(of)) is not None:
        offers[Source.WS] = Offer(streams.streams.keys(), streams.lacks)
    return offers


def is_archived(exchange: str, market: str, kind: str) -> bool:
    """Say whether the market's archives have a kind."""
    archives = ARCHIVE_MARKETS.get((exchange, market))
    return archives is not None and kind in archives.archives


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
            exchange=exchange,
            market=market,
            type=str(DataType(source, kind)),
            live=source.is_live,
            targets=list(targets_of(source)),
        )
        for exchange, market in REST_MARKETS
        for source, offer in offers_of(exchange, market).items()
        for kind in offer.kinds
    ]
