"""`/_api/gharial/…/vertex` and `…/edge`: the documents of named graphs."""

from collections.abc import Callable, Sequence
from typing import Literal

from aiohttp import web

from arangolite.errors import ArangoError, Problem
from arangolite.http.call import Call, Json, Route, result
from arangolite.http.documents import answer_conflict, etag, find_document, read_options
from arangolite.storage import elements, graphs
from arangolite.storage.catalog import Collection
from arangolite.storage.database import Transaction
from arangolite.storage.documents import Documents, RevisionConflictError, Written, check_document, raw_document
from arangolite.storage.names import check_key
from arangolite.storage.users import Level

Kind = Literal["vertex", "edge"]


async def read_graph(call: Call) -> Json:
    """Read the definition of the graph that the path names, or refuse with 1924."""
    collections, name = call.database.collections, call.path["graph"]
    return await call.database.read(lambda connection: graphs.read_graph(connection, collections, name))


def _member(graph: Json, kind: Kind, name: str) -> str:
    """Return the name of a collection of the graph, or refuse it with 1926 or 1930."""
    if kind == "vertex" and name not in graphs.vertex_collections(graph):
        raise ArangoError(Problem.GRAPH_VERTEX_COLLECTION_MISSING)
    if kind == "edge" and name not in graphs.edge_collections(graph):
        raise ArangoError(Problem.GRAPH_EDGE_COLLECTION_NOT_USED)
    return name


async def _write(
    call: Call,
    kind: Kind,
    work: Callable[[Transaction, Json, Collection], Written],
    *,
    created: bool = False,
    around: Sequence[str] = (),
) -> web.Response:
    """Write one vertex or edge and answer with what became of it."""
    graph = await read_graph(call)
    name = _member(graph, kind, call.path["collection"])
    collection = call.collection(name, Level.RW)
    sync = call.flag("waitForSync") or collection.wait_for_sync
    writes = [name, *around]
    reads = set() if kind == "vertex" else {*graphs.vertex_collections(graph)} - {*writes}
    try:
        async with call.session(reads=reads, writes=writes) as session:
            written = await session.write(
                lambda transaction: work(transaction, graph, transaction.collection(name)), sync=sync
            )
    except RevisionConflictError as exc:
        return answer_conflict(name, exc)
    content: Json = {"removed": True} if written.new is None else {kind: _meta(name, written)}
    if call.flag("returnOld") and written.old is not None:
        content["old"] = raw_document(name, written.old)
    if call.flag("returnNew") and written.new is not None:
        content["new"] = raw_document(name, written.new)
    quick = 201 if created else 200
    response = result(content, status=quick if sync else 202)
    response.headers["ETag"] = f'"{written.rev}"'
    return response


def _meta(collection: str, written: Written) -> Json:
    meta = {"_id": f"{collection}/{written.key}", "_key": written.key, "_rev": written.rev}
    return {**meta, "_oldRev": written.old.rev} if written.old is not None else meta


async def _edges_around(call: Call, vertices: str) -> list[str]:
    """Find the edge collections of all graphs that have these vertices."""
    collections = call.database.collections
    found = await call.database.read(lambda connection: graphs.list_graphs(connection, collections))
    names = [edges for graph in found if vertices in graphs.members(graph) for edges in graphs.edge_collections(graph)]
    return [name for name in dict.fromkeys(names) if name in collections and name != vertices]


class _Elements:
    """The handlers that vertices and edges have alike."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind

    async def insert(self, call: Call) -> web.Response:
        """Insert one."""
        body, options = check_document(await call.json()), read_options(call)

        def work(transaction: Transaction, graph: Json, collection: Collection) -> Written:
            if self.kind == "edge":
                elements.check_edge(transaction, graph, body, whole=True)
            documents = Documents(transaction, collection)
            written = documents.insert(body, options)
            documents.flush()
            return written

        return await _write(call, self.kind, work, created=True)

    async def _change(self, call: Call, *, replace: bool) -> web.Response:
        body, options = check_document(await call.json()), read_options(call)
        key, expected = check_key(call.path["key"]), etag(call, "If-Match")

        def work(transaction: Transaction, graph: Json, collection: Collection) -> Written:
            if self.kind == "edge":
                elements.check_edge(transaction, graph, body, whole=replace)
            documents = Documents(transaction, collection)
            apply = documents.replace if replace else documents.update
            written = apply(key, body, options, expected=expected)
            documents.flush()
            return written

        return await _write(call, self.kind, work)

    async def replace(self, call: Call) -> web.Response:
        """Give one new content."""
        return await self._change(call, replace=True)

    async def update(self, call: Call) -> web.Response:
        """Merge attributes into one."""
        return await self._change(call, replace=False)

    async def remove(self, call: Call) -> web.Response:
        """Remove one, and the edges around it."""
        options, key, expected = read_options(call), check_key(call.path["key"]), etag(call, "If-Match")
        edges = await _edges_around(call, call.path["collection"])

        def work(transaction: Transaction, _: Json, collection: Collection) -> Written:
            around = [name for name in (collection.name, *edges) if transaction.collection(name).is_edge]
            return elements.remove_element(transaction, collection, key, around, options, expected)

        return await _write(call, self.kind, work, around=edges)

    async def get(self, call: Call) -> web.Response:
        """Read one."""
        name = _member(await read_graph(call), self.kind, call.path["collection"])
        collection, key = call.collection(name), call.path["key"]
        async with call.session(reads=[name]) as session:
            row = await session.read(lambda connection: find_document(connection, collection, key))
        expected = etag(call, "If-Match") or call.parameter("rev")
        if expected is not None and expected != row.rev:
            return answer_conflict(name, RevisionConflictError(row))
        if etag(call, "If-None-Match") == row.rev:
            return web.Response(status=304, headers={"ETag": f'"{row.rev}"'})
        response = result({self.kind: raw_document(name, row)})
        response.headers["ETag"] = f'"{row.rev}"'
        return response


def _routes(kind: Kind) -> list[Route]:
    elements_of, many = _Elements(kind), f"/_api/gharial/{{graph}}/{kind}/{{collection}}"
    one = f"{many}/{{key}}"
    return [
        Route("POST", many, elements_of.insert),
        Route("GET", one, elements_of.get),
        Route("PATCH", one, elements_of.update),
        Route("PUT", one, elements_of.replace),
        Route("DELETE", one, elements_of.remove),
    ]


ROUTES = [*_routes("vertex"), *_routes("edge")]
