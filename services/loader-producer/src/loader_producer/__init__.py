"""Loads history from an exchange's REST interface or its archives into a data topic.

- `app` decides: which pages to ask for, what a page must be, how much weight may be spent, what comes next.
- `adapters` talks to the exchange.
- `settings`, `__main__`: reads the environment and wires.
"""
