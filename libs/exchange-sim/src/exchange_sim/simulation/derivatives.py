"""A futures market that never was: trades and prices around those of the spot market, funding, open interest.

Every price is drawn as the spot market is, from minutes of its own around levels that all of them share, so that mark,
index and trades stay close to each other. Funding and open interest are drawn by their time alone.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from exchange_sim.clock import HOUR_US, MINUTE_US
from exchange_sim.intervals import INTERVALS, Interval
from exchange_sim.market import Derivatives, IdentifiedSeries, Series, Symbol, TimeUnit
from exchange_sim.simulation.decimals import renderer
from exchange_sim.simulation.instruments import Instrument, find_instrument
from exchange_sim.simulation.market import SimulatedMarket
from exchange_sim.simulation.pushed import AllLiquidations, AllMarkPrices, Liquidations, MarkPrices
from exchange_sim.translated import Translated, TranslatedTrades

PRICES: Final = ("mark", "index", "premium")
FUNDING_HOURS: Final = 8
"""As a rule; some symbols pay more often."""

_JITTER_MS: Final = 20
"""By how much a funding time is late at most."""
_PREMIUM_PARTS: Final = 100_000
"""A price that is twice its level makes for a premium of 0.001, in parts of 10^-8."""
_PERIOD_US: Final = 5 * MINUTE_US
"""Open interest is measured so often; longer periods show every so many of the same values."""
_DAY_PERIODS: Final = 288
_MEAN_UNITS: Final = 80_000_000
"""Open interest around which it moves, in thousandths of the base asset."""

_decimal = renderer(8)


def _signed(value: int) -> bytes:
    return _decimal(value) if value >= 0 else b"-" + _decimal(-value)


class FundingSeries:
    """What longs pay to shorts, as a `Series` of rows as Binance gives them."""

    kind: Final = "funding_rate"
    batch: Final = 100

    def __init__(self, instrument: Instrument, market: str, hours: int, mark: Series) -> None:
        self.market = market
        self.symbol = instrument.symbol.name
        self._dice = instrument.dice
        self._every_us = hours * HOUR_US
        self._mark = mark
        self.first = -(-instrument.listed_minute * MINUTE_US // self._every_us)

    def end(self, now_us: int) -> int:
        """One past the last one that was due, however late it came."""
        return max(self.first, (now_us - _JITTER_MS * 1000) // self._every_us + 1)

    def settled(self, now_us: int) -> int:
        """All of them."""
        return self.end(now_us)

    def position_at(self, time_us: int) -> int:
        """The first one at or after a moment."""
        position = time_us // self._every_us
        return position if self.time_us(position) >= time_us else position + 1

    def time_us(self, position: int) -> int:
        """When it came: a little later than it was due."""
        return position * self._every_us + self._dice.draw("funding", position, 3)[2] % _JITTER_MS * 1000

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """E.g. `{"symbol":"BTCUSDT","fundingRate":"0.00010000","fundingTime":1570608000003,"markPrice":"34287.5"}`."""
        return [self._row(position, now_us) for position in range(first, end)]

    def _row(self, position: int, now_us: int) -> bytes:
        throw = int.from_bytes(self._dice.draw("funding", position, 3)[:2])
        minute = self._mark.position_at(position * self._every_us)
        mark = msgspec.json.decode(self._mark.rows(minute, minute + 1, now_us, TimeUnit.MILLISECOND)[0])[1]
        return b'{"symbol":"%b","fundingRate":"%b","fundingTime":%d,"markPrice":"%b"}' % (
            self.symbol.encode(),
            _signed(10_000 + (throw - 32_768) // 2),
            self.time_us(position) // 1000,
            mark.encode(),
        )


class OpenInterestSeries:
    """How much is held, as a `Series` of rows as Binance gives them."""

    batch: Final = 500

    def __init__(self, instrument: Instrument, market: str, period: Interval) -> None:
        self.market = market
        self.symbol = instrument.symbol.name
        self.kind = f"open_interest_{period.file_name}"
        self._instrument = instrument
        self._period = period
        self.first = period.index_at(instrument.listed_minute * MINUTE_US - 1) + 1

    def end(self, now_us: int) -> int:
        """One past the last one that was measured."""
        return max(self.first, self._period.index_at(now_us) + 1)

    def settled(self, now_us: int) -> int:
        """All of them."""
        return self.end(now_us)

    def position_at(self, time_us: int) -> int:
        """The first one at or after a moment."""
        return self._period.index_at(time_us - 1) + 1

    def time_us(self, position: int) -> int:
        """When it was measured."""
        return self._period.open_us(position)

    def rows(self, first: int, end: int, now_us: int, unit: TimeUnit) -> list[bytes]:
        """E.g. `{"symbol":"BTCUSDT","sumOpenInterest":"20403.638","sumOpenInterestValue":"150570784.07",…}`."""
        return [self._row(position) for position in range(first, end)]

    def _row(self, position: int) -> bytes:
        time_us = self.time_us(position)
        at = time_us // _PERIOD_US
        noise = self._instrument.dice.noise
        swing = 0.2 * noise("open interest day", at, _DAY_PERIODS) + 0.02 * noise("open interest hour", at, 12)
        units = int(_MEAN_UNITS * (1 + swing))
        places = 3 + self._instrument.tick_places
        value = divmod(units * self._instrument.level_ticks, 10**places)
        return b'{"symbol":"%b","sumOpenInterest":"%d.%03d","sumOpenInterestValue":"%d.%0*d","timestamp":%d}' % (
            self.symbol.encode(),
            *divmod(units, 1000),
            value[0],
            places,
            value[1],
            time_us // 1000,
        )


class SimulatedDerivatives:
    """Symbols and series of one futures market."""

    def __init__(self, seed: int, market: str) -> None:
        """Draw nothing yet.

        Args:
            seed: Which simulated world.
            market: `binance:um` or `bybit:linear`.
        """
        self._market = market
        self._seed = seed
        self._trades = SimulatedMarket(seed, market)
        self._prices = {price: SimulatedMarket(seed, f"{market}/{price}") for price in PRICES}

    def symbols(self) -> Iterable[Symbol]:
        """The listed ones that are quoted in USDT."""
        return [symbol for symbol in self._trades.symbols() if symbol.quote == "USDT"]

    def symbol(self, name: str) -> Symbol | None:
        """Any symbol that is quoted in USDT or USDC."""
        symbol = self._trades.symbol(name)
        return symbol if symbol is not None and symbol.quote in {"USDT", "USDC"} else None

    def candles(self, symbol: Symbol, interval: Interval) -> Series:
        """The candles of the trades."""
        return Translated(self._trades.candles(symbol, interval, 0), self._market)

    def price_candles(self, price: str, symbol: Symbol, interval: Interval) -> Series:
        """The candles of a price; its columns of volumes mean nothing."""
        candles = self._prices[price].candles(symbol, interval, 0)
        level = self._instrument(symbol).level_ticks * 10 ** (8 - self._instrument(symbol).tick_places)

        def translate(rows: Sequence[bytes]) -> list[bytes]:
            return [_price_row(row, level if price == "premium" else None) for row in rows]

        return Translated(candles, self._market, translate, f"{price}_{candles.kind}")

    def agg_trades(self, symbol: Symbol) -> IdentifiedSeries:
        """The aggregated trades; `nq` leaves out the trades of retail orders, of which there are none here."""
        return TranslatedTrades(self._trades.agg_trades(symbol), self._market, _futures_trades)

    def trades(self, symbol: Symbol) -> Series:
        """The single trades."""
        return Translated(self._trades.trades(symbol), self._market)

    def funding_hours(self, symbol: Symbol) -> int:
        """How often funding is due: of BTC and ETH, and of what is not listed, as a rule."""
        if symbol.base in {"BTC", "ETH"} or symbol not in self.symbols():
            return FUNDING_HOURS
        return (8, 8, 4, 1)[self._instrument(symbol).level_dice.number("funding interval", 4)]

    def funding(self, symbol: Symbol) -> FundingSeries:
        """The funding rates."""
        mark = self.price_candles("mark", symbol, INTERVALS["1m"])
        return FundingSeries(self._instrument(symbol), self._market, self.funding_hours(symbol), mark)

    def open_interest(self, symbol: Symbol, period: Interval) -> OpenInterestSeries:
        """The open interest."""
        return OpenInterestSeries(self._instrument(symbol), self._market, period)

    def mark_prices(self, symbol: Symbol | None) -> Series:
        """The mark price of every second."""
        if symbol is None:
            return AllMarkPrices([self._mark_prices(each) for each in self.symbols()])
        return self._mark_prices(symbol)

    def _mark_prices(self, symbol: Symbol) -> MarkPrices:
        mark, index = (self.price_candles(price, symbol, INTERVALS["1s"]) for price in ("mark", "index"))
        return MarkPrices(mark, index)

    def liquidations(self, symbol: Symbol | None) -> Series:
        """The liquidations, of which a stream shows the latest of a second."""
        if symbol is None:
            return AllLiquidations([self._liquidations(each) for each in self.symbols()])
        return self._liquidations(symbol)

    def _liquidations(self, symbol: Symbol) -> Liquidations:
        return Liquidations(self.price_candles("mark", symbol, INTERVALS["1s"]), self._instrument(symbol).dice)

    def series(self, symbol: Symbol) -> Iterable[Series]:
        """Candles of trades and prices in a minute's interval, trades, funding, open interest."""
        minute = INTERVALS["1m"]
        yield self.candles(symbol, minute)
        for price in PRICES:
            yield self.price_candles(price, symbol, minute)
        yield self.agg_trades(symbol)
        yield self.funding(symbol)
        yield self.open_interest(symbol, INTERVALS["5m"])

    def _instrument(self, symbol: Symbol) -> Instrument:
        instrument = find_instrument(symbol.name, self._seed, self._market)
        assert instrument is not None, symbol
        return instrument


def _futures_trades(rows: Sequence[bytes]) -> list[bytes]:
    """E.g. `{"a":26129,"p":"0.01633102","q":"4.7","f":27781,"l":27781,"T":1498793709153,"m":true,"nq":"4.7"}`."""
    translated = []
    for row in rows:
        trade = msgspec.json.decode(row)
        del trade["M"]
        translated.append(msgspec.json.encode({**trade, "nq": trade["q"]}))
    return translated


def _price_row(row: bytes, level: int | None) -> bytes:
    """A candle as one of a price; of a premium where it is measured from a level, in parts of 10^-8."""
    candle = msgspec.json.decode(row)
    prices = [price.encode() for price in candle[1:5]]
    if level is not None:
        steps = [int(price.replace(b".", b"")) for price in prices]
        prices = [_signed((step - level) * _PREMIUM_PARTS // level) for step in steps]
    return b'[%d,"%b","%b","%b","%b","0",%d,"0",60,"0","0","0"]' % (candle[0], *prices, candle[6])


def latest_open_interest(market: Derivatives, symbol: Symbol, now_us: int) -> dict[str, str]:
    """Return the latest measurement, under the names that Binance has for its fields."""
    series = market.open_interest(symbol, INTERVALS["5m"])
    position = series.end(now_us) - 1
    row: dict[str, str] = msgspec.json.decode(series.rows(position, position + 1, now_us, TimeUnit.MILLISECOND)[0])
    return row
