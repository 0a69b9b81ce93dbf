"""The examples of ArangoDB's AQL documentation, as facts: query, data, result.

`documented.jsonl` has one fact a line: the page of the 3.12 documentation, the query, what it gives; where needed its
bind parameters, its data (a name in `documented_data.json`), a second query that shows what a write has left. `order`
says what the documentation leaves open: `rows` the order of the results, `any` also the order inside of each.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from arango.database import StandardDatabase

HERE = Path(__file__).parent
FACTS = [msgspec.json.decode(line) for line in HERE.joinpath("documented.jsonl").read_bytes().splitlines()]
DATA = msgspec.json.decode(HERE.joinpath("documented_data.json").read_bytes())
NEAR = {"rel": 1e-15, "abs": 1e-15}  # the last digit of a sine is the C library's


def load(db: StandardDatabase, name: str) -> None:
    content = DATA[name]
    if "graph" in content:
        graph, edges, vertices = content["graph"]
        ends = {"from_vertex_collections": [vertices], "to_vertex_collections": [vertices]}
        db.create_graph(graph, edge_definitions=[{"edge_collection": edges, **ends}])
    for collection, documents in {**content["collections"], **content.get("edges", {})}.items():
        if not db.has_collection(collection):
            db.create_collection(collection)
        db.collection(collection).import_bulk(documents)


def near(value: Any) -> Any:
    match value:
        case float():
            return pytest.approx(value, **NEAR)
        case list():
            return [near(item) for item in value]
        case dict():
            return {name: near(item) for name, item in value.items()}
    return value


def in_order(value: Any, levels: int) -> Any:
    if levels == 0 or type(value) is not list:
        return value
    return sorted((in_order(item, levels - 1) for item in value), key=lambda item: str(msgspec.json.encode(item)))


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact['page'].split('/')[-1]}: {fact['query'][:70]}")
def test_documented_examples_give_the_documented_results(
    fact: dict[str, Any], system: StandardDatabase, request: pytest.FixtureRequest
) -> None:
    db: StandardDatabase = request.getfixturevalue("db") if "data" in fact else system
    if "data" in fact:
        load(db, fact["data"])
    found = list(db.aql.execute(fact["query"], bind_vars=fact.get("bind")))
    open_levels = {"rows": 1, "any": 2}.get(fact.get("order", ""), 0)
    assert in_order(found, open_levels) == near(in_order(fact["result"], open_levels))
    if after := fact.get("after"):
        assert list(db.aql.execute(after["query"])) == after["result"]
