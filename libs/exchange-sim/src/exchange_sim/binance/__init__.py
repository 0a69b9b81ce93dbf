"""Binance over REST.

`parameters` reads a query as the exchange does, `interface` is what its markets share, `spot` and `futures` answer.
"""
