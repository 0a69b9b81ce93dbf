"""Loads history from an exchange's REST interface or its archives into a data topic.

- `app` decides: which pages and files to ask for, what is missing, what comes next.
- `adapters` talks to the exchange.
- `settings`, `__main__`: reads the environment and wires.
"""
