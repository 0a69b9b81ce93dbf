"""Stores the records of a data topic in ArangoDB, once each."""
