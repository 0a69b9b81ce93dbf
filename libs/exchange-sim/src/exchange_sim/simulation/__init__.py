"""A market that never was: any symbol, any range, the same for everyone, and never stored.

It is drawn top-down, so that any part of it can be made alone:

    instruments   what a symbol costs, its steps, since when it trades
    activity      how many trades each minute of the week has, hence the first id of every minute, by arithmetic
    prices        the price level at every hour, a sum of slow noises, and how nervous the hour is
    hours         the atom: minute bars, drawn by the hour
    tapes         the trades of a minute: they divide its lots and touch its prices
    sums          what any stretch of time amounts to
    candles, trades   the series that the exchange serves

Everything random comes from `dice`, a counter-based generator. Prices are whole ticks and quantities whole lots, so
candles are exactly the aggregates of the trades. The little floating point in between uses only the four operations
that IEEE 754 defines to the last bit: no machine draws another market.
"""
