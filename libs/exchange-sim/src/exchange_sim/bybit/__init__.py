"""Bybit v5 over REST: `query` reads a query as the exchange does, `interface` answers for all of its markets."""
