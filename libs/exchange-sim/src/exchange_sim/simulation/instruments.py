"""Which symbols the simulated exchange knows, what they cost, in which steps they trade, and since when.

A symbol is a base of up to ten letters and digits and a quote that Binance knows. A few well-known bases have about
their real price; every other is given one. Some are refused although they look right: an exchange that knows every name
could not be used to test what a client does with a wrong one.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from exchange_sim.clock import HOUR_US, MINUTE_US, SECOND_US
from exchange_sim.market import Symbol
from exchange_sim.quotes import split_symbol
from exchange_sim.simulation.dice import Dice

PRICES_NANO_USD: Final = {
    "BTC": 60_000_000_000_000,
    "ETH": 3_000_000_000_000,
    "BNB": 550_000_000_000,
    "SOL": 150_000_000_000,
    "XRP": 550_000_000,
    "ADA": 450_000_000,
    "DOGE": 120_000_000,
    "TRX": 130_000_000,
    "AVAX": 27_000_000_000,
    "LINK": 13_000_000_000,
    "DOT": 6_000_000_000,
    "LTC": 70_000_000_000,
    "BCH": 350_000_000_000,
    "UNI": 7_000_000_000,
    "ATOM": 6_000_000_000,
    "ETC": 20_000_000_000,
    "XLM": 100_000_000,
    "NEAR": 5_000_000_000,
    "ALGO": 150_000_000,
    "FIL": 4_000_000_000,
    "SHIB": 17_000,
    "PEPE": 9_000,
    "USDT": 1_000_000_000,
    "USDC": 1_000_000_000,
    "FDUSD": 1_000_000_000,
    "TUSD": 1_000_000_000,
    "BUSD": 1_000_000_000,
    "USDP": 1_000_000_000,
    "DAI": 1_000_000_000,
    "EUR": 1_090_000_000,
    "GBP": 1_270_000_000,
    "TRY": 30_000_000,
    "BRL": 180_000_000,
    "JPY": 6_800_000,
    "AUD": 660_000_000,
}
"""Around which level a base moves, in billionths of a US dollar; all quotes are among them."""

_US_DOLLARS: Final = {"USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "DAI"}

LISTED: Final = (
    *(f"{base}USDT" for base in PRICES_NANO_USD if base not in {"USDT", "BUSD", "TRY", "BRL", "JPY"}),
    *("ETHBTC", "BNBBTC", "SOLBTC", "BTCEUR", "ETHEUR", "BTCTRY"),
)
"""What `exchangeInfo` lists; many more symbols can be asked for."""

REFUSED_WORDS: Final = (
    "BOGUS",
    "DOESNOT",
    "FAKE",
    "INVALID",
    "INVENTED",
    "MISSING",
    "NOPE",
    "NOSUCH",
    "NOTA",
    "NOTEX",
    "NOTHING",
    "NOTREAL",
    "UNKNOWN",
    "WRONG",
    "XXX",
    "YYY",
    "ZZZ",
)
"""A base that has one of these in it does not exist."""

_BASE: Final = re.compile("[A-Z0-9]{1,10}")

_FIRST_LISTING_US: Final = int(datetime(2017, 8, 17, 4, tzinfo=UTC).timestamp()) * SECOND_US
"""When Binance's oldest symbols began to trade; BTC and ETH do so here."""

_LISTING_HOURS: Final = 3 * 365 * 24
"""The others follow within three years, so that whoever asks for a range of the last years finds it full."""

_LEAST_TICKS: Final = 50_000
"""A price has about five significant digits, as on the exchange; eight decimals are the most."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """A symbol with everything that its market is drawn from."""

    symbol: Symbol
    dice: Dice
    """Of this market's minutes."""
    level_dice: Dice
    """Of what all markets of the symbol have in common: about what it costs at every hour, and how nervous that is."""
    listed_minute: int
    """The first minute with trades, counted from 1970."""
    level_ticks: int
    """Around which its price moves."""
    tick_places: int
    """Decimals of a price."""
    lot_places: int
    """Decimals of a quantity; with those of the price at most eight, so that amounts of quote are exact too."""
    mean_lots: int
    """Of a trade in an average hour."""
    trades_per_minute: int
    """Aggregated trades in an average minute."""
    hourly_volatility: float
    """By how much the logarithm of its price moves in an average hour."""


def find_instrument(name: str, seed: int, market: str = "") -> Instrument | None:
    """Look a symbol up; None where the exchange would say that there is no such symbol.

    Args:
        name: E.g. `BTCUSDT`.
        seed: Which simulated world.
        market: Of several with the same symbols, each of which draws its own minutes.
    """
    parts = split_symbol(name)
    if parts is None:
        return None
    base, quote = parts
    if _BASE.fullmatch(base) is None or base == quote or any(word in base for word in REFUSED_WORDS):
        return None
    dice = Dice(seed, f"{market}/{name}" if market else name)
    level_dice = Dice(seed, name)
    price = PRICES_NANO_USD.get(base) or _invent_price(Dice(seed, base))
    tick_places = _tick_places(price, PRICES_NANO_USD[quote])
    lot_places = min(8 - tick_places, max(0, len(str(price // 10**9)) if price >= 10**9 else 0))
    lot_nano_usd = price // 10**lot_places
    return Instrument(
        symbol=Symbol(name, base, quote, tick_size=f"{10**-tick_places:.8f}", lot_size=f"{10**-lot_places:.8f}"),
        dice=dice,
        level_dice=level_dice,
        listed_minute=_listed_us(base, seed) // MINUTE_US,
        level_ticks=price * 10**tick_places // PRICES_NANO_USD[quote],
        tick_places=tick_places,
        lot_places=lot_places,
        mean_lots=max(8, (150 + level_dice.number("trade size", 800)) * 10**9 // max(1, lot_nano_usd)),
        trades_per_minute=600 if base == "BTC" else 300 if base == "ETH" else 20 + level_dice.number("trades", 180),
        hourly_volatility=_hourly_volatility(base, quote, level_dice),
    )


def _tick_places(price: int, quote_price: int) -> int:
    """How many decimals a price has: at least two, at most eight, enough for five digits."""
    return next((places for places in range(2, 8) if price * 10**places // quote_price >= _LEAST_TICKS), 8)


def _hourly_volatility(base: str, quote: str, dice: Dice) -> float:
    if {base, quote} <= _US_DOLLARS:
        return 0.00002
    return 0.004 if base in {"BTC", "ETH"} else 0.004 + dice.number("volatility", 30) / 10_000


def _invent_price(dice: Dice) -> int:
    """A price between a thousandth of a dollar and a hundred dollars, small ones as likely as large ones."""
    magnitudes = (10**4, 10**5, 10**6, 10**7, 10**8)
    return (100 + dice.number("price digits", 900)) * magnitudes[dice.number("price magnitude", len(magnitudes))]


def _listed_us(base: str, seed: int) -> int:
    if base in {"BTC", "ETH"}:
        return _FIRST_LISTING_US
    return _FIRST_LISTING_US + Dice(seed, base).number("listing", _LISTING_HOURS) * HOUR_US
