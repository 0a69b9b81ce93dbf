"""Stores the records of a data topic in ArangoDB, once each.

- `app` decides: what of a batch is a document, what is rejected and why, when the work is done.
- `adapters` talks to the database.
- `settings`, `__main__`: reads the environment and wires.
"""
