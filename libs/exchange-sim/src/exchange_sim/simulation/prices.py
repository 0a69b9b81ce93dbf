"""The price level at every full hour, and how nervous each hour is.

The logarithm of the price is a sum of slow noises: each turns four times as slowly as the one before and swings twice
as wide, which is how far a random walk gets in four times the time. There is no running sum: the level of any hour is
as near as that of the first. Volatility is a product of slower noises, so that it comes in clusters.
"""

from typing import Final

from exchange_sim.simulation.instruments import Instrument

_OCTAVES: Final = 9
"""The slowest turns once in 4^8 hours, seven years and a half."""

_SWING: Final = 0.8
"""Of the fastest noise, in hourly volatilities: a day then moves about as far as 24 hours of a random walk do."""

_EXP_HALVINGS: Final = 6


class Prices:
    """Levels of one symbol; hours are counted from 1970."""

    def __init__(self, instrument: Instrument) -> None:
        self._dice = instrument.level_dice
        self._centre_ticks = instrument.level_ticks
        swing = instrument.hourly_volatility * _SWING
        self._octaves = [(f"octave {octave}", 1 << 2 * octave, swing * (1 << octave)) for octave in range(_OCTAVES)]

    def log_level(self, hour: int) -> float:
        """The logarithm of the price, relative to the level around which it moves."""
        noise = self._dice.noise
        return sum(width * noise(name, hour, period) for name, period, width in self._octaves)

    def ticks(self, log_level: float) -> float:
        """The price at a level."""
        return self._centre_ticks * _exp(log_level)

    def nervousness(self, hour: int) -> float:
        """The volatility of an hour relative to an average one: between a third and three times."""
        noise = self._dice.noise
        return (
            (1 + 0.45 * noise("nervous day", hour, 7))
            * (1 + 0.40 * noise("nervous week", hour, 61))
            * (1 + 0.30 * noise("nervous month", hour, 587))
        )


def _exp(x: float) -> float:
    """e^x by the four operations only: libraries' last bits differ between machines, and so would the market."""
    part = x / (1 << _EXP_HALVINGS)
    value = 1 + part * (1 + part / 2 * (1 + part / 3 * (1 + part / 4 * (1 + part / 5))))
    for _ in range(_EXP_HALVINGS):
        value *= value
    return value
