"""A crypto exchange to develop and test against: recorded or simulated market data over the real protocols.

__main__     the command line
server       the HTTP server, from start to signal
exchange     what happens to a request: weight, answer, faults, journal, ledger
control      the tool's own pages below `/_sim/`
binance      Binance spot over REST: parameters, endpoints, weight limit
windows, pages   which items a request is given, and making them
faults       misbehaviour on demand
journal, ledger  what was asked, and what was served
market       the port to where data come from: `recording` (archive files) or `simulation`
clock, intervals, quotes   times, candle grids, names of symbols
"""
