"""What there is to load: the whole dataset in one stretch, or in a repair each range that is missing.

The pages of all stretches follow each other as if they were of one, so that some are under way at once however short
the stretches are, and one id tells the place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from loader_producer.app.gaps import GapFinder
from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.repair import IdRange, Repair
from streamforge_common.exchanges.rest import History
from streamforge_common.history.pages import Ends, Page, PagePlan


@dataclass(frozen=True, slots=True)
class Stretches:
    """The pages of a dataset, or of what it lacks."""

    kind: RecordKind
    plans: Sequence[PagePlan]
    """In order, without overlaps."""
    spacing: int | None
    """Of records that lie on no grid: how far apart two neighbours may be, milliseconds."""

    @classmethod
    def of_repair(cls, history: History, repair: Repair, spacing: int | None) -> "Stretches":
        """Lay out the pages of what is missing."""
        all_ends = [_ends_of(history.kind, missing, is_spaced=spacing is not None) for missing in repair.ranges]
        plans = [PagePlan(history.kind.grid, ends, history.page_size) for ends in all_ends]
        return cls(history.kind, plans, spacing)

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return sum(plan.count for plan in self.plans)

    @property
    def told(self) -> str:
        """What there is, for people."""
        records = f"{sum(plan.records for plan in self.plans)} records in " if self.spacing is None else ""
        ranges = f" of {len(self.plans)} missing ranges" if len(self.plans) > 1 else ""
        return f"{records}{self.pages} pages{ranges}"

    def pages_from(self, next_id: int | None, last_id: int | None) -> Iterator[tuple[Page, GapFinder]]:
        """Yield the pages from the one that holds an id on, all for None, each with what finds the gaps of its stretch.

        Args:
            next_id: What comes next.
            last_id: The last record before it, None where there is none.
        """
        before = 0
        for plan in self.plans:
            is_begun = last_id is not None and plan.ends is not None and plan.ends[0] <= last_id
            finder = GapFinder(self.kind, plan.ends, self.spacing, last_id if is_begun else None)
            for page in plan.pages_from(next_id):
                yield replace(page, number=before + page.number), finder
            before += plan.count


def _ends_of(kind: RecordKind, missing: IdRange, *, is_spaced: bool) -> Ends:
    """Return the first and the last id to ask for; a silence between two neighbours is asked for with both of them."""
    start, end = missing
    grid = kind.grid
    return (grid.floor(start), grid.floor(end)) if is_spaced else (start, grid.floor(end - 1))
