"""What of the records that come was received before, and what was missed.

Where ids lie one behind the other a hole is told by them: whatever the reason, a message lost on the way or a
connection that was away. Where they do not, only the times around a reconnect tell where something may be missing.
"""

from collections.abc import Sequence as Run
from typing import NamedTuple, Protocol

from loader_ws.app.holes import Hole, Holes
from streamforge_common.contract.events import ExchangeGap, StreamGap
from streamforge_common.contract.grid import Grid
from streamforge_common.contract.kinds import RecordKind
from streamforge_common.contract.records import Record
from streamforge_common.exchanges.streams import Stream

_REMEMBERED_KEYS = 20_000
"""Of records without numbers: more than an exchange sends again when a connection is opened anew."""


class Mark(NamedTuple):
    """From where to where records have been received; None where none has been."""

    first: int | None = None
    """An id where ids lie one behind the other, else Unix milliseconds."""
    last: int | None = None
    holes: tuple[Hole, ...] = ()
    """What is missing in between and may still come."""
    symbols: tuple["Mark", ...] = ()
    """Of a basket: those of its symbols, in its order."""


Verdict = tuple[bool, StreamGap | None]
"""Whether a record is new, and what is missing before it that nobody can bring any more."""


class Sequence(Protocol):
    """Judges the records of one stream, in the order in which they come."""

    @property
    def mark(self) -> Mark:
        """How far it has come."""

    def note_break(self, since_ms: int | None, until_ms: int | None = None) -> None:
        """Something may be missing: since a time, None where nothing came before; until another, or the next record."""

    def admit(self, record: Record, received_ms: int) -> Verdict:
        """Take the next record."""

    def pass_over(self, record_id: int) -> StreamGap | None:
        """Take an id that has no record; return what is missing before it for good."""

    def must_resubscribe(self) -> bool:
        """Say, once each time, whether only a new subscription brings what is missing."""


class FillableSequence(Sequence, Protocol):
    """A sequence whose holes may be filled later."""

    @property
    def holes(self) -> Holes:
        """What is missing and may still come."""

    def fill(self, record: Record) -> bool:
        """Take a record that the exchange was asked for, and say whether it was missing."""

    def covered(self, hole: Hole, latest: Run[Record]) -> Hole:
        """Return the part of a hole in which nothing is missing but what the latest records, oldest first, miss too."""

    def settle(self, start: int, end: int) -> list[ExchangeGap]:
        """Forget the holes of a run of which the exchange has given all that it has; return what it has not given."""

    def give_up(self, start: int, end: int) -> list[StreamGap]:
        """Forget the holes of a run; return them."""


class RecentKeys:
    """Tells what was there before, as far as an exchange sends it again."""

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._keys

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
        self.holes = Holes(mark.holes)
        self._first, self._last = mark.first, mark.last
        self._id_of = kind.id_of
        self._grid = grid
        self._given_up = Holes()
        """Late records of these are new all the same."""

    @property
    def mark(self) -> Mark:
        """How far it has come."""
        return Mark(self._first, self._last, tuple(self.holes))

    def note_break(self, since_ms: int | None, until_ms: int | None = None) -> None:
        """The next id tells what was missed."""

    def admit(self, record: Record, _received_ms: int) -> Verdict:
        """Take the next record; what is missing before it is a hole."""
        return self._admit(self._id_of(record)), None

    def pass_over(self, record_id: int) -> None:
        """Take an id that has no record."""
        self._admit(record_id)

    def must_resubscribe(self) -> bool:
        """A subscription brings what happens from then on."""
        return False

    def begin(self, first: int) -> None:
        """Before the first record: this one is the first, whenever it comes."""
        self._first, self._last = first, self._grid.advance(first, -1)

    def expect_up_to(self, last: int) -> None:
        """Up to here there are records, whether they came or not."""
        if self._last is not None and last > self._last:
            self.holes.add(self._grid.advance(self._last), self._grid.advance(last))
            self._last = last

    def fill(self, record: Record) -> bool:
        """Take a record that the exchange was asked for, and say whether it was missing."""
        return self._take_out(self.holes, self._id_of(record))

    def covered(self, hole: Hole, latest: Run[Record]) -> Hole:
        """Return the part of a hole between the first and the last of the latest records."""
        if not latest:
            return Hole(hole.start, hole.start)
        start = min(hole.end, max(hole.start, self._id_of(latest[0])))
        return Hole(start, max(start, min(hole.end, self._grid.advance(self._id_of(latest[-1])))))

    def settle(self, start: int, end: int) -> list[ExchangeGap]:
        """Forget the holes of a run of which the exchange has given all that it has; return what it has not given."""
        return [
            ExchangeGap(start=hole.start, end=hole.end, missing=self._grid.count(*hole))
            for hole in self._forget(start, end)
        ]

    def give_up(self, start: int, end: int) -> list[StreamGap]:
        """Forget the holes of a run; return them."""
        return [
            StreamGap(start=hole.start, end=hole.end, missing=self._grid.count(*hole))
            for hole in self._forget(start, end)
        ]

    def _admit(self, record_id: int) -> bool:
        if self._last is None:
            self._first = self._last = record_id
            return True
        if record_id <= self._last:
            return self._take_out(self.holes, record_id) or self._take_out(self._given_up, record_id)
        expected = self._grid.advance(self._last)
        self._last = record_id
        if record_id != expected:
            self.holes.add(expected, record_id)
        return True

    def _take_out(self, holes: Holes, record_id: int) -> bool:
        return bool(holes.remove(record_id, self._grid.advance(record_id)))

    def _forget(self, start: int, end: int) -> list[Hole]:
        forgotten = self.holes.remove(start, end)
        for hole in forgotten:
            self._given_up.add(*hole)
        return forgotten


class UnnumberedSequence:
    """Of records that nothing numbers: the marks are their times."""

    def __init__(self, kind: RecordKind, mark: Mark) -> None:
        """Go on from where an earlier process has come to."""
        self.holes = Holes(mark.holes)
        self._first, self._last = mark.first, mark.last
        self._time_of = kind.time_of
        self._broken_since: int | None = None
        self._seen = RecentKeys()

    @property
    def mark(self) -> Mark:
        """How far it has come."""
        return Mark(self._first, self._last, tuple(self.holes))

    def note_break(self, since_ms: int | None, until_ms: int | None = None) -> None:
        """Something may be missing: since a time, None where nothing came before; until another, or the next record."""
        if since_ms is None:
            return
        if until_ms is not None:
            self.holes.add(since_ms, until_ms)
        elif self._broken_since is None:
            self._broken_since = since_ms

    def admit(self, record: Record, received_ms: int) -> Verdict:
        """Take the next record; where it has no time of its own, that of its receipt counts."""
        if not self._seen.is_new(record.key):
            return False, None
        told = self._time_of(record)
        time_ms = told if isinstance(told, int) else received_ms
        self._first = time_ms if self._first is None else self._first
        self._last = time_ms if self._last is None else max(self._last, time_ms)
        if self._broken_since is not None:
            if self._broken_since < time_ms:
                self.holes.add(self._broken_since, time_ms)
            self._broken_since = None
        return True, None

    def pass_over(self, record_id: int) -> None:
        """Nothing is numbered, so nothing follows from it."""

    def must_resubscribe(self) -> bool:
        """A subscription brings what happens from then on."""
        return False

    def fill(self, record: Record) -> bool:
        """Take a record that the exchange was asked for, and say whether it lies in a hole, its ends included."""
        time_ms = self._time_of(record)
        lies_in_one = any(hole.start <= time_ms <= hole.end for hole in self.holes)
        return lies_in_one and self._seen.is_new(record.key)

    def covered(self, hole: Hole, latest: Run[Record]) -> Hole:
        """Return the part of a hole that the latest records reach.

        Some records have the same time: an end is reached where one lies behind it, or is known from there.
        """
        times = [*map(self._time_of, latest)]
        if not times:
            return Hole(hole.start, hole.start)
        known = [time for time, record in zip(times, latest, strict=True) if record.key in self._seen]
        reaches_back = times[0] < hole.start or (times[0] == hole.start and latest[0].key in self._seen)
        is_up_to_date = times[-1] > hole.end or hole.end in known
        start = hole.start if reaches_back else min(hole.end, max(times[0], hole.start + 1))
        return Hole(start, hole.end if is_up_to_date else max(start, min(hole.end, times[-1])))

    def settle(self, start: int, end: int) -> list[ExchangeGap]:
        """Forget the holes of a run: what the exchange has given is all that there is."""
        self.holes.remove(start, end)
        return []

    def give_up(self, start: int, end: int) -> list[StreamGap]:
        """Forget the holes of a run; return them."""
        return [StreamGap(start=hole.start, end=hole.end) for hole in self.holes.remove(start, end)]


def sequence_of(stream: Stream, mark: Mark) -> FillableSequence:
    """Return the sequence of a stream's records."""
    if stream.grid is None:
        return UnnumberedSequence(stream.kind, mark)
    return NumberedSequence(stream.kind, stream.grid, mark)
