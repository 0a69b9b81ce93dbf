"""What a repair has to load: the ranges of ids that the completeness report misses.

All of it is asked for again, also what the exchange did not have the last time: a person wishes a repair because that
may have changed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from queue_manager.app.catalog import offers_of
from queue_manager.app.quality import Evidence, Gap, find_gaps
from queue_manager.app.workflow import Dataset, Workflow
from streamforge_common.contract.data_types import DataType, Source
from streamforge_common.contract.kinds import record_kind
from streamforge_common.contract.repair import RANGES_MAX, IdRange
from streamforge_common.contract.time_range import TimeRange
from streamforge_common.exchanges import REST_MARKETS

Missing = Mapping[int, Sequence[IdRange] | None]
"""Number of a dataset to what it lacks, sorted; None where nobody can say which ids there are, and of baskets."""


async def find_missing(workflow: Workflow, evidence: Evidence) -> Missing:
    """Look into the database for what every dataset lacks."""
    missing: dict[int, Sequence[IdRange] | None] = {}
    for dataset in workflow.datasets:
        if dataset.symbols:
            missing[dataset.n] = None
            continue
        gaps = await find_gaps(workflow, dataset, evidence)
        missing[dataset.n] = None if gaps is None else ranges_of(gaps)
    return missing


def ranges_of(gaps: Sequence[Gap]) -> list[IdRange]:
    """Return the ranges that gaps lie in, at most `RANGES_MAX`.

    Of more than that the nearest neighbours are one range, with what is stored between them.

    Args:
        gaps: In order, without overlaps.
    """
    distances = [after.start - before.end for before, after in pairwise(gaps)]
    apart = [place for place, distance in enumerate(distances) if distance > 0]
    cuts = sorted(sorted(apart, key=distances.__getitem__, reverse=True)[: RANGES_MAX - 1])
    firsts = [0, *(place + 1 for place in cuts)]
    lasts = [*cuts, len(gaps) - 1]
    return [(gaps[first].start, gaps[last].end) for first, last in zip(firsts, lasts, strict=True)] if gaps else []


def fault_of_repair(dataset: Dataset, ranges: Sequence[IdRange], now: datetime) -> str | None:
    """Say why a dataset's missing records cannot be loaded, and what to do instead; None where they can.

    A dataset from archives is not refused: what REST does not reach comes from its files again.
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
    if data_type.source is Source.API:
        kind = record_kind(data_type.kind)
        is_timed = kind.id_field == kind.time_field
        start_ms = ranges[0][0] if is_timed else TimeRange.parse(dataset.time_range).start_ms
        market = REST_MARKETS[dataset.exchange, dataset.market]
        return market.fault_of_reach(kind.name, start_ms, int(now.timestamp() * 1000))
    return None
