"""Datasets of more than one symbol (contract section 1): a basket, or every symbol of a market.

In names, commands and events a word stands where the symbol of other datasets does; which symbols a basket has travels
in the options of its commands.
"""

from collections.abc import Mapping
from typing import Any

BASKET = "MULTI"
"""Stands for the symbols of a basket."""
EVERY_SYMBOL = "ALL"
"""Stands for every symbol of the market, as all-market streams bring them."""
FEWEST, MOST = 2, 1_000
"""Symbols of a basket."""
MOST_LIVE = 50
"""Of a live one: a loader keeps the place of each of its symbols in one checkpoint, 70 bytes for two long ids and a
hole between two others, where 4,096 are allowed."""
SYMBOLS_OPTION = "symbols"


def basket_symbols(symbol: str, options: Mapping[str, Any]) -> list[str]:
    """Return the symbols of a basket; none where `symbol` is the only one, or stands for every one.

    Raises:
        ValueError: It is a basket and does not say which symbols it has.
    """
    if symbol != BASKET:
        return []
    symbols = options.get(SYMBOLS_OPTION)
    if not isinstance(symbols, list) or not symbols or not all(isinstance(it, str) for it in symbols):
        raise ValueError(f"a basket needs a list of symbols in options.{SYMBOLS_OPTION}, not {symbols!r}")
    return symbols
