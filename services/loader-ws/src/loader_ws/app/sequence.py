"""What of the records that come was received before, and what was missed.

Where ids lie one behind the other a hole is told by them: whatever the reason, a message lost on the way or a
connection that was away. Where they do not, only the times around a reconnect tell where something may be missing.
"""

from collections import deque
from typing import NamedTuple, Protocol

from streamforge_common.contract.events import StreamGap
from streamforge_common.contract.grid import Grid
from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import Record
from streamforge_common.exchanges.streams import Stream

_REMEMBERED_KEYS = 20_000
"""Of records without numbers: more than an exchange sends again when a connection is opened anew."""
_REMEMBERED_HOLES = 1_000
"""Into which late records may still come; older holes stay as they are."""


class Mark(NamedTuple):
    """From where to where records have been received; None where none has been."""

    first: int | None = None
    """An id where ids lie one behind the other, else Unix milliseconds."""
    last: int | None = None


Verdict = tuple[bool, StreamGap | None]
"""Whether a record is new, and what was missed before it."""


class Sequence(Protocol):
    """Judges the records of one dataset, in the order in which they come."""

    @property
    def mark(self) -> Mark:
        """How far it has come."""

    def note_reconnect(self) -> None:
        """Another connection begins."""

    def admit(self, record: Record, received_ms: int) -> Verdict:
        """Take the next record."""

    def pass_over(self, record_id: int) -> StreamGap | None:
        """Take an id that has no record; return what was missed before it."""

    def must_resubscribe(self) -> bool:
        """Say, once each time, whether only a new subscription brings what is missing."""


class RecentKeys:
    """Tells what was there before, as far as an exchange sends it again."""

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}

    def is_new(self, key: str) -> bool:
        """Say whether a key is there for the first time, and remember it."""
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > _REMEMBERED_KEYS:
            del self._keys[next(iter(self._keys))]
        return True


class NumberedSequence:
    """Of records whose ids lie one behind the other on a grid."""

    def __init__(self, kind: RecordKind, grid: Grid, mark: Mark) -> None:
        """Go on from where an earlier process has come to."""
        self.mark = mark
        self._id_of = kind.id_of
        self._grid = grid
        self._holes: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED_HOLES)

    def note_reconnect(self) -> None:
        """The next id tells what was missed."""

    def admit(self, record: Record, _received_ms: int) -> Verdict:
        """Take the next record."""
        return self._admit(self._id_of(record))

    def pass_over(self, record_id: int) -> StreamGap | None:
        """Take an id that has no record; return what was missed before it."""
        return self._admit(record_id)[1]

    def must_resubscribe(self) -> bool:
        """A subscription brings what happens from then on."""
        return False

    def _admit(self, record_id: int) -> Verdict:
        first, last = self.mark
        if first is None or last is None:
            self.mark = Mark(record_id, record_id)
            return True, None
        if record_id <= last:
            return self._fills_a_hole(record_id), None
        expected = self._grid.advance(last)
        self.mark = Mark(first, record_id)
        if record_id == expected:
            return True, None
        self._holes.append((expected, record_id))
        return True, StreamGap(start=expected, end=record_id, missing=self._grid.count(expected, record_id))

    def _fills_a_hole(self, record_id: int) -> bool:
        """Say whether a late id was missing, and count it as received."""
        for index, (start, end) in enumerate(self._holes):
            if start <= record_id < end:
                behind = self._grid.advance(record_id)
                del self._holes[index]
                self._holes.extend((first, stop) for first, stop in ((start, record_id), (behind, end)) if first < stop)
                return True
        return False


class UnnumberedSequence:
    """Of records that nothing numbers: the marks are their times."""

    def __init__(self, kind: RecordKind, mark: Mark) -> None:
        """Go on from where an earlier process has come to."""
        self.mark = mark
        self._time_of = kind.time_of
        self._is_reconnected = False
        self._seen = RecentKeys()

    def note_reconnect(self) -> None:
        """From the last record to the next one something may be missing."""
        self._is_reconnected = True

    def admit(self, record: Record, received_ms: int) -> Verdict:
        """Take the next record; where it has no time of its own, that of its receipt counts."""
        if not self._seen.is_new(record.key):
            return False, None
        told = self._time_of(record)
        time_ms = told if isinstance(told, int) else received_ms
        first, last = self.mark
        self.mark = Mark(time_ms if first is None else first, time_ms if last is None else max(last, time_ms))
        is_apart = self._is_reconnected and last is not None and last < time_ms
        self._is_reconnected = False
        return True, StreamGap(start=last, end=time_ms) if is_apart else None

    def pass_over(self, record_id: int) -> StreamGap | None:
        """Nothing is numbered, so nothing follows from it."""
        return None

    def must_resubscribe(self) -> bool:
        """A subscription brings what happens from then on."""
        return False


def sequence_of(stream: Stream, mark: Mark) -> Sequence:
    """Return the sequence of a stream's records."""
    if stream.grid is None:
        return UnnumberedSequence(stream.kind, mark)
    return NumberedSequence(stream.kind, stream.grid, mark)
