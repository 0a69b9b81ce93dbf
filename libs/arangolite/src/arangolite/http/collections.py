"""`/_api/collection`: create, list, describe, change, drop."""

import hashlib
import sqlite3
from collections.abc import Callable

from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Json, Route, answer, result
from arangolite.storage import graphs, schema
from arangolite.storage.catalog import Collection
from arangolite.storage.revisions import revision_number
from arangolite.storage.users import Level

_LOADED = 3


def _summary(collection: Collection) -> Json:
    return {
        "id": str(collection.id),
        "name": collection.name,
        "status": _LOADED,
        "type": collection.type,
        "isSystem": collection.properties["isSystem"],
        "globallyUniqueId": f"h{collection.id:X}/{collection.id}",
    }


def _full(collection: Collection) -> Json:
    return {**_summary(collection), "statusString": "loaded", **collection.properties}


async def _list(call: Call) -> web.Response:
    hide_system = call.flag("excludeSystem")
    collections = [
        _summary(collection)
        for collection in call.database.collections.values()
        if not (hide_system and collection.properties["isSystem"])
        and call.access.collection_level(call.database.name, collection.name) > Level.NONE
    ]
    return result({"result": collections})


async def _create(call: Call) -> web.Response:
    call.need_database(Level.RW)
    collection = await call.database.write(schema.create_collection(await call.json_object()), sync=True)
    if call.access.collection_level(call.database.name, collection.name) < Level.RW:
        # Whoever creates a collection may use it, whatever is granted for others.
        grant = (call.database.name, collection.name, Level.RW)
        await call.server.users.change(call.user, lambda user: user.with_collection(*grant))
    return result(_full(collection))


async def _get(call: Call) -> web.Response:
    return result(_summary(call.collection(call.path["name"])))


async def _properties(call: Call) -> web.Response:
    return result(_full(call.collection(call.path["name"])))


async def _change(call: Call) -> web.Response:
    name = _changeable(call).name
    work = schema.change_properties(name, await call.json_object())
    return result(_full(await call.database.write(work, sync=True)))


async def _rename(call: Call) -> web.Response:
    name = _changeable(call).name
    work = graphs.rename_collection(name, (await call.json_object()).get("name"))
    return result(_summary(await call.database.write(work, sync=True)))


def _changeable(call: Call) -> Collection:
    """Find the collection of the path, if the caller may change or drop it."""
    call.need_database(Level.RW)
    return call.collection(call.path["name"], Level.RW)


async def _truncate(call: Call) -> web.Response:
    collection = call.collection(call.path["name"], Level.RW)
    sync = call.flag("waitForSync") or collection.wait_for_sync
    async with call.session(writes=[collection.name]) as session:
        return result(_summary(await session.write(schema.truncate_collection(collection.name), sync=sync)))


async def _drop(call: Call) -> web.Response:
    name, system = _changeable(call).name, call.flag("isSystem")
    collection = await call.server.drop_collection(call.database, name, system=system)
    return result({"id": str(collection.id)})


async def _no_op(call: Call) -> web.Response:
    """Load, unload and the like: everything is always loaded."""
    return result(_summary(call.collection(call.path["name"])))


async def _done(call: Call) -> web.Response:
    call.collection(call.path["name"])
    return result({"result": True})


async def _read(call: Call, work: Callable[[sqlite3.Connection, Collection], Json]) -> web.Response:
    collection = call.collection(call.path["name"])
    async with call.session(reads=[collection.name]) as session:
        found = await session.read(lambda connection: work(connection, collection))
    return result({**_full(collection), **found})


async def _count(call: Call) -> web.Response:
    return await _read(call, lambda connection, collection: {"count": count_documents(connection, collection)})


def count_documents(connection: sqlite3.Connection, collection: Collection) -> int:
    """Count the documents of a collection."""
    row: tuple[int] = connection.execute(f"SELECT count(*) FROM {collection.table}").fetchone()
    return row[0]


async def _revision(call: Call) -> web.Response:
    return await _read(call, lambda connection, collection: {"revision": _last_revision(connection, collection)})


def _last_revision(connection: sqlite3.Connection, collection: Collection) -> str:
    revisions = connection.execute(f"SELECT rev FROM {collection.table}")
    return max((rev.decode() for (rev,) in revisions), key=revision_number, default="0")


async def _checksum(call: Call) -> web.Response:
    with_rev, with_data = call.flag("withRevisions"), call.flag("withData")

    def work(connection: sqlite3.Connection, collection: Collection) -> Json:
        total = 0
        for key, rev, text in connection.execute(f"SELECT key, rev, doc FROM {collection.table}"):
            digest = hashlib.blake2b(key, digest_size=8)
            if with_rev:
                digest.update(rev)
            if with_data:
                digest.update(text)
            total ^= int.from_bytes(digest.digest(), "big")  # the order of the documents must not matter
        return {"checksum": str(total), "revision": _last_revision(connection, collection)}

    return await _read(call, work)


async def _cluster_only(call: Call) -> web.Response:
    call.collection(call.path["name"])
    raise ArangoError(Problem.ONLY_ON_COORDINATOR)


async def _figures(call: Call) -> web.Response:
    def work(connection: sqlite3.Connection, collection: Collection) -> Json:
        count = count_documents(connection, collection)
        size = connection.execute(f"SELECT coalesce(sum(length(doc)), 0) FROM {collection.table}").fetchone()[0]
        indexes = {"count": len(collection.indexes), "size": 0}
        return {
            "count": count,
            "figures": {
                "indexes": indexes,
                "documentsSize": size,
                "cacheInUse": False,
                "cacheSize": 0,
                "cacheUsage": 0,
            },
        }

    return await _read(call, work)


async def _key_generators(_: Call) -> web.Response:
    return answer({"keyGenerators": ["autoincrement", "padded", "traditional", "uuid"]})


_ONE = "/_api/collection/{name}"
ROUTES = [
    Route("GET", "/_api/collection", _list),
    Route("POST", "/_api/collection", _create),
    Route("GET", _ONE, _get),
    Route("DELETE", _ONE, _drop),
    Route("GET", f"{_ONE}/properties", _properties),
    Route("PUT", f"{_ONE}/properties", _change),
    Route("GET", f"{_ONE}/count", _count),
    Route("GET", f"{_ONE}/figures", _figures),
    Route("GET", f"{_ONE}/shards", _cluster_only),
    Route("PUT", f"{_ONE}/responsibleShard", _cluster_only),
    Route("GET", f"{_ONE}/revision", _revision),
    Route("GET", f"{_ONE}/checksum", _checksum),
    Route("PUT", f"{_ONE}/rename", _rename),
    Route("PUT", f"{_ONE}/truncate", _truncate),
    Route("PUT", f"{_ONE}/load", _no_op),
    Route("PUT", f"{_ONE}/unload", _no_op),
    Route("PUT", f"{_ONE}/compact", _no_op),
    Route("PUT", f"{_ONE}/recalculateCount", _done),
    Route("PUT", f"{_ONE}/loadIndexesIntoMemory", _done),
    Route("GET", "/_api/key-generators", _key_generators),
]
