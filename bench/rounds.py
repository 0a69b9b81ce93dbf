"""Interleaved rounds: A B A B …, so that whatever else the machine does hits both sides alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Measured = Mapping[str, float]
"""What one side told of one round, by name."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, and how far they lie apart."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Sum up the values of some rounds."""
        return cls(median(values), min(values), max(values), len(values))


class Rounds:
    """What every side told, round by round."""

    def __init__(self, told: Mapping[str, Sequence[Measured]]) -> None:
        self._told = told

    def value(self, side: str, name: str) -> Spread:
        """Sum up one figure of one side."""
        return Spread.of([measured[name] for measured in self._told[side]])

    def ratio(self, side: str, to: str, name: str) -> Spread:
        """Sum up a figure of one side as a part of the other's; both always of the same round."""
        pairs = zip(self._told[side], self._told[to], strict=True)
        return Spread.of([ours[name] / theirs[name] for ours, theirs in pairs])

    def difference(self, side: str, to: str, name: str) -> Spread:
        """Sum up by how much a figure of one side is more than the other's; both always of the same round."""
        pairs = zip(self._told[side], self._told[to], strict=True)
        return Spread.of([ours[name] - theirs[name] for ours, theirs in pairs])


def run_rounds(sides: Mapping[str, Callable[[], Measured]], rounds: int) -> Rounds:
    """Run all sides in turn, some times; a first time that does not count warms up servers and caches."""
    for measure in sides.values():
        measure()
    told: dict[str, list[Measured]] = {side: [] for side in sides}
    for number in range(rounds):
        # Every second round runs backwards, so that no side always has the same neighbour before it.
        for side in list(sides)[:: 1 if number % 2 == 0 else -1]:
            told[side].append(sides[side]())
    return Rounds(told)
