"""Documents that end by themselves: a ttl index names the attribute that says since when a document counts as old.

The attribute is a number of seconds since 1970 or an ISO 8601 date; `expireAfter` seconds later the document is
removed. Any other value keeps it for ever.
"""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from arangolite.storage.catalog import Collection, Index, lookup
from arangolite.storage.database import Transaction, Work
from arangolite.storage.documents import Documents
from arangolite.values import AFTER_ANY, Value, encode

_ROUND = 1000  # documents removed in one transaction, so that other writers get their turn
_NUMBERS, _STRINGS = b"\x30", b"\x40"  # where the entries of these types begin
_WIDEST_OFFSET = timedelta(days=1)  # a time zone moves a date's text by less than that


def find_expired(
    connection: sqlite3.Connection, collections: Mapping[str, Collection], now: datetime
) -> dict[str, list[str]]:
    """Find documents whose time is over: some keys for each collection."""
    found = {}
    for collection in collections.values():
        for index in collection.indexes:
            if index.type == "ttl":
                found[collection.name] = _expired_keys(connection, collection, index, now)
    return {name: keys for name, keys in found.items() if keys}


def remove_expired(found: Mapping[str, list[str]], now: datetime) -> Work[None]:
    """Remove the documents that were found, as far as they still are over their time."""

    def work(transaction: Transaction) -> None:
        again = find_expired(transaction.connection, transaction.collections, now)
        for name, keys in again.items():
            documents = Documents(transaction, transaction.collection(name))
            for key in set(keys) & set(found.get(name, ())):
                documents.remove(key)
            documents.flush()

    return work


def _expired_keys(connection: sqlite3.Connection, collection: Collection, index: Index, now: datetime) -> list[str]:
    cutoff = now - timedelta(seconds=index.extra["expireAfter"])
    text = (cutoff + _WIDEST_OFFSET).strftime("%Y-%m-%dT%H:%M:%S")
    ranges = [(_NUMBERS, encode(cutoff.timestamp()) + AFTER_ANY), (_STRINGS, encode(text))]
    statement = (
        f"SELECT d.key, d.doc FROM {index.tables[0].name} AS i CROSS JOIN {collection.table} AS d ON d.id = i.id "
        "WHERE i.k >= ? AND i.k < ?"
    )
    keys: list[str] = []
    for bounds in ranges:
        for key, document in connection.execute(statement, bounds):
            if _is_over(lookup(msgspec.json.decode(document), index.fields[0]), cutoff):
                keys.append(key.decode())
            if len(keys) >= _ROUND:
                return keys
    return keys


def _is_over(value: Value, cutoff: datetime) -> bool:
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return False
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) <= cutoff
    return type(value) in (int, float) and value <= cutoff.timestamp()
