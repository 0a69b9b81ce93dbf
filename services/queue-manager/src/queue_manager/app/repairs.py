"""What a repair has to load: the ranges of ids that the completeness report misses.

All of it is asked for again, also what the exchange did not have the last time: a person wishes a repair because that
may have changed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from queue_manager.app.catalog import is_archived, offers_of
from queue_manager.app.missing import Gap
from queue_manager.app.quality import Evidence, find_gaps, find_gaps_of_basket
from queue_manager.app.workflow import Dataset, Workflow
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.repair import RANGES_MAX, IdRange
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.exchanges import REST_MARKETS

Lacks = Sequence[IdRange] | Mapping[str, Sequence[IdRange]]
"""Sorted ranges; of a basket those of each symbol that lacks something."""
Missing = Mapping[int, Lacks | None]
"""Number of a dataset to what it lacks; None where nobody can say which ids there are."""


async def find_missing(workflow: Workflow, evidence: Evidence) -> Missing:
    """Look into the database for what every dataset lacks."""
    return {
        dataset.n: await (_find_of_basket if dataset.symbols else _find_of_one)(workflow, dataset, evidence)
        for dataset in workflow.datasets
    }


async def _find_of_one(workflow: Workflow, dataset: Dataset, evidence: Evidence) -> Lacks | None:
    gaps = await find_gaps(workflow, dataset, evidence)
    return None if gaps is None else ranges_of(gaps)


async def _find_of_basket(workflow: Workflow, dataset: Dataset, evidence: Evidence) -> Lacks | None:
    gaps = await find_gaps_of_basket(workflow, dataset, evidence)
    if gaps is None:
        return None
    most = max(1, RANGES_MAX // max(1, len(gaps)))
    return {symbol: ranges_of(of_symbol, most) for symbol, of_symbol in gaps.items()}


def ranges_of(gaps: Sequence[Gap], most: int = RANGES_MAX) -> list[IdRange]:
    """Return the ranges that gaps lie in.

    Of more than so many the nearest neighbours are one range, with what is stored between them.

    Args:
        gaps: In order, without overlaps.
        most: Ranges.
    """
    distances = [after.start - before.end for before, after in pairwise(gaps)]
    apart = [place for place, distance in enumerate(distances) if distance > 0]
    cuts = sorted(sorted(apart, key=distances.__getitem__, reverse=True)[: most - 1])
    firsts = [0, *(place + 1 for place in cuts)]
    lasts = [*cuts, len(gaps) - 1]
    return [(gaps[first].start, gaps[last].end) for first, last in zip(firsts, lasts, strict=True)] if gaps else []


def fault_of_repair(dataset: Dataset, lacks: Lacks, now: datetime) -> str | None:
    """Say why a dataset's missing records cannot be loaded, and what to do instead; None where they can.

    What archives have is not refused: what REST does not reach comes from the files.
    """
    data_type = DataType.parse(dataset.type)
    if data_type.source.is_live:
        offers = offers_of(dataset.exchange, dataset.market)
        types = [DataType(source, data_type.kind) for source in (Source.API, Source.DUMP)]
        instead = [str(it) for it in types if it.source in offers and it.kind in offers[it.source].kinds]
        if not instead:
            return f"{dataset.exchange} {dataset.market} gives {data_type.kind} live only: what was missed is lost"
        return (
            f"a live dataset is not repaired in this version: load the time that it lacks as {' or '.join(instead)} "
            f"into the collection {dataset.collection_name!r}"
        )
    if not is_archived(dataset.exchange, dataset.market, data_type.kind):
        kind = record_kind(data_type.kind)
        is_timed = kind.id_field == kind.time_field
        each = [lacks] if isinstance(lacks, Sequence) else lacks.values()
        firsts = [ranges[0][0] for ranges in each]
        start_ms = min(firsts) if is_timed else TimeRange.parse(dataset.time_range).start_ms
        market = REST_MARKETS[dataset.exchange, dataset.market]
        return market.fault_of_reach(kind.name, start_ms, int(now.timestamp() * 1000))
    return None
