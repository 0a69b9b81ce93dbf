"""Binance spot over REST: `parameters` reads a query as the exchange does, `spot` answers, `limits` counts weight."""
