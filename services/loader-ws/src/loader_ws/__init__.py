"""Loads live streams of an exchange into a data topic.

- `app` decides: what of a frame is a record, what was received before, what was missed, when to connect anew.
- `adapters` talks to the exchange.
- `settings`, `__main__`: reads the environment and wires.
"""
