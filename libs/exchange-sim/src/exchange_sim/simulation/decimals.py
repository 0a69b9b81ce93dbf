"""Whole numbers of steps as the decimal strings of the exchange: always eight places."""

from collections.abc import Callable


def renderer(places: int) -> Callable[[int], bytes]:
    """How to write a number of steps of 10^-places: of 2 places, 123456 is `1234.56000000`."""
    if not places:
        return lambda steps: b"%d.00000000" % steps
    unit = 10**places
    pattern = f"%d.%0{places}d{'0' * (8 - places)}".encode()
    return lambda steps: pattern % divmod(steps, unit)
