"""What is missing: in a page, so that it is asked for again, and between the pages as they are published."""

from collections.abc import Sequence

from streamforge_common.contract.events import ExchangeGap
from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import Record
from streamforge_common.contract.spacing import find_silences
from streamforge_common.history.pages import Ends, Page, find_gaps


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
