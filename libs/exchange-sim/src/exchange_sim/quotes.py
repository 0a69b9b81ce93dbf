"""How a symbol's name falls into base and quote: nothing in it marks the border, so the quotes must be known."""

from typing import Final

QUOTES: Final = (
    "USDT",
    "USDC",
    "FDUSD",
    "TUSD",
    "BUSD",
    "USDP",
    "DAI",
    "BTC",
    "ETH",
    "BNB",
    "EUR",
    "GBP",
    "TRY",
    "BRL",
    "JPY",
    "AUD",
)
"""Quotes of Binance spot, past and present; none is the end of another."""


def split_symbol(name: str) -> tuple[str, str] | None:
    """Split `BTCUSDT` into `BTC` and `USDT`; None if it ends in no known quote or has no base."""
    for quote in QUOTES:
        if name.endswith(quote) and name != quote:
            return name.removesuffix(quote), quote
    return None
