"""What a query would do, in the words of ArangoDB's execution plans."""

from typing import Any

from arangolite.aql import tree
from arangolite.aql.access import Access, FullScan, IndexScan, KeyLookup
from arangolite.storage.catalog import PRIMARY

Json = dict[str, Any]
Step = tuple[tree.Operation, Access | None]
"""An operation as it is run, and for a FOR over a collection how that is read."""

_NODE_TYPES: dict[type, str] = {
    tree.For: "EnumerateListNode",
    tree.Traversal: "TraversalNode",
    tree.PathSearch: "ShortestPathNode",
    tree.Let: "CalculationNode",
    tree.Filter: "FilterNode",
    tree.Sort: "SortNode",
    tree.Limit: "LimitNode",
    tree.Collect: "CollectNode",
    tree.Window: "WindowNode",
    tree.Return: "ReturnNode",
    tree.Insert: "InsertNode",
    tree.Remove: "RemoveNode",
    tree.Upsert: "UpsertNode",
}


def describe_plan(steps: list[Step]) -> Json:
    """Describe the steps of a query as an execution plan."""
    nodes: list[Json] = [_node("SingletonNode", 1)]
    collections: dict[str, str] = {}
    rules: set[str] = set()
    for number, (operation, access) in enumerate(steps, 2):
        node = _node(_NODE_TYPES.get(type(operation), "CalculationNode"), number)
        if isinstance(operation, tree.Change):
            node["type"] = "ReplaceNode" if operation.replace else "UpdateNode"
        if access is not None:
            node |= _describe_access(access)
            collections.setdefault(access.collection.name, "read")
            if access.uses_index:
                rules.add("use-indexes")
        target = getattr(operation, "target", None)
        if isinstance(target, tree.CollectionName):
            collections[target.name] = "write"
        nodes.append(node)
    return {
        "nodes": nodes,
        "rules": sorted(rules),
        "collections": [{"name": name, "type": kind} for name, kind in collections.items()],
        "variables": [],
        "estimatedCost": float(len(nodes)),
        "estimatedNrItems": 1,
        "isModificationQuery": "write" in collections.values(),
    }


def _node(kind: str, number: int) -> Json:
    dependencies = [number - 1] if number > 1 else []
    return {
        "type": kind,
        "id": number,
        "dependencies": dependencies,
        "estimatedCost": float(number),
        "estimatedNrItems": 1,
    }


def _describe_access(access: Access) -> Json:
    collection = access.collection.name
    match access:
        case FullScan():
            return {"type": "EnumerateCollectionNode", "collection": collection}
        case KeyLookup():
            indexes = [PRIMARY.describe(collection)]
            return {"type": "IndexNode", "collection": collection, "indexes": indexes, "reverse": False}
        case IndexScan():
            indexes = [access.index.describe(collection)]
            return {"type": "IndexNode", "collection": collection, "indexes": indexes, "reverse": access.descending}
