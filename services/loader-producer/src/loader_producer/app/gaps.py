"""What is missing: in a page, so that it is asked for again, and between the pages as they are published."""

from collections.abc import Sequence

from streamforge_common.contract.events import ExchangeGap
from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import Record
from streamforge_common.contract.spacing import find_silences
from streamforge_common.history.pages import Ends, Page, find_gaps, find_missing


class GapFinder:
    """Looks at the pages of one dataset, in order."""

    def __init__(self, kind: RecordKind, ends: Ends | None, spacing: int | None, last_id: int | None = None) -> None:
        """Begin, or go on.

        Args:
            kind: Of the records.
            ends: Of the dataset.
            spacing: How far apart two neighbours may be; None for kinds of which every id has a record.
            last_id: That of the last record before the next page, None where there is none.
        """
        self.last_id = last_id
        self._kind = kind
        self._ends = ends
        self._spacing = spacing

    def seems_whole(self, page: Page, records: Sequence[Record]) -> bool:
        """Say whether nothing speaks for asking for a page again.

        Of spaced records one is due at each midnight, where pages as a rule begin. A page that begins later or ends
        with a silence may be explained by its neighbours; that it is asked for again does no harm.
        """
        if self._spacing is None:
            return len(records) == page.expected
        ids = [*map(self._kind.id_of, records)]
        silences = find_silences(page.first, ids, page.next, self._spacing)
        return bool(ids) and ids[0] == page.first and not any(silences)

    def take(self, page: Page, records: Sequence[Record]) -> list[ExchangeGap]:
        """Return what is missing from the last record before a page to its last one, or to the end of the dataset."""
        if self._spacing is None:
            return find_gaps(page, self._kind, records)
        assert self._ends is not None
        ids = [*map(self._kind.id_of, records)]
        start = self._ends[0] if self.last_id is None else self.last_id + 1
        self.last_id = ids[-1] if ids else self.last_id
        if page.last == self._ends[1]:
            silences = find_silences(start, ids, page.last + 1, self._spacing)
        else:
            # What follows the last record is for the page that brings the next one to tell.
            silences = find_silences(start, ids[:-1], ids[-1], self._spacing) if ids else iter(())
        return [ExchangeGap(start=it.start, end=it.end, missing=it.missing) for it in silences]


class Continuity:
    """Looks at the ids of one dataset, in order, wherever its records come from."""

    def __init__(self, kind: RecordKind, spacing: int | None = None) -> None:
        """Begin.

        Args:
            kind: Of the records.
            spacing: How far apart two neighbours may be; None for kinds of which every id has a record.
        """
        self.first_id: int | None = None
        """The first one that there should be; None until that is known."""
        self.next_id: int | None = None
        """The first one of which nothing is known yet."""
        self._grid = kind.grid
        self._spacing = spacing

    def begin_at(self, first_id: int) -> None:
        """Learn the first id that there should be; where it is known, nothing changes."""
        if self.next_id is None:
            self.first_id = self.next_id = first_id

    def take(self, ids: Sequence[int]) -> list[ExchangeGap]:
        """Return what is missing before these ids, which are sorted, and between them."""
        if not ids:
            return []
        self.begin_at(ids[0])
        assert self.next_id is not None
        if self._spacing is None:
            gaps, self.next_id = find_missing(self._grid, self.next_id, ids)
            return gaps
        fresh = [found for found in ids if found >= self.next_id]
        return self._take_spaced(fresh[:-1], fresh[-1], self._spacing) if fresh else []

    def end_at(self, last_id: int) -> list[ExchangeGap]:
        """Return what is missing up to the last id that there should be, once the first is known."""
        assert self.next_id is not None
        if self._spacing is not None:
            return self._take_spaced([], last_id + 1, self._spacing)
        behind = self._grid.advance(last_id)
        gaps, _ = find_missing(self._grid, self.next_id, [behind])
        self.next_id = max(self.next_id, behind)
        return gaps

    def _take_spaced(self, ids: Sequence[int], last_id: int, spacing: int) -> list[ExchangeGap]:
        assert self.next_id is not None
        silences = find_silences(self.next_id, ids, last_id, spacing)
        self.next_id = last_id + 1
        return [ExchangeGap(start=it.start, end=it.end, missing=it.missing) for it in silences]
