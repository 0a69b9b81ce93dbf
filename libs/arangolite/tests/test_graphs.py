import pytest
from arango.database import StandardDatabase
from arango.exceptions import AQLQueryExecuteError, GraphCreateError, GraphDeleteError


@pytest.fixture
def graph(db: StandardDatabase) -> StandardDatabase:
    """a → b → c → d, a → c, d → a."""
    definition = {"edge_collection": "roads", "from_vertex_collections": ["towns"], "to_vertex_collections": ["towns"]}
    db.create_graph("map", edge_definitions=[definition])
    db.collection("towns").insert_many([{"_key": key, "n": n} for n, key in enumerate("abcde")])
    pairs = ["ab", "bc", "cd", "ac", "da"]
    db.collection("roads").insert_many(
        [{"_key": pair, "_from": f"towns/{pair[0]}", "_to": f"towns/{pair[1]}"} for pair in pairs]
    )
    return db


def run(db: StandardDatabase, query: str, **bind: object) -> list:
    return list(db.aql.execute(query, bind_vars=bind))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OUTBOUND 'towns/a' roads", ["b", "c"]),
        ("INBOUND 'towns/c' GRAPH 'map'", ["b", "a"]),
        ("ANY 'towns/a' roads", ["b", "c", "d"]),
        ("0..1 OUTBOUND 'towns/a' roads", ["a", "b", "c"]),
        ("1..3 OUTBOUND 'towns/a' roads", ["b", "c", "d", "c", "d", "a"]),
        ("1..3 OUTBOUND 'towns/a' roads OPTIONS {order: 'bfs'}", ["b", "c", "c", "d", "d", "a"]),
        ("1..9 OUTBOUND 'towns/a' roads OPTIONS {order: 'bfs', uniqueVertices: 'global'}", ["b", "c", "d"]),
        ("2 OUTBOUND 'towns/a' roads", ["c", "d"]),
        ("1..3 OUTBOUND 'towns/a' roads PRUNE v._key == 'c' OPTIONS {uniqueVertices: 'path'}", ["b", "c", "c"]),
        ("1 OUTBOUND 'towns/a' roads, INBOUND roads", ["b", "c", "d"]),
        ("OUTBOUND 'nonsense' roads", []),
        ("OUTBOUND {_id: 'towns/e'} roads", []),
    ],
)
def test_traversals_visit_in_order(graph: StandardDatabase, text: str, expected: list) -> None:
    assert run(graph, f"FOR v IN {text} RETURN v._key") == expected


def test_edges_and_paths_are_given(graph: StandardDatabase) -> None:
    query = "FOR v, e, p IN 2 OUTBOUND @start roads RETURN {e: e._key, v: p.vertices[*]._key, p: p.edges[*]._key}"
    assert run(graph, query, start="towns/a") == [
        {"e": "bc", "v": ["a", "b", "c"], "p": ["ab", "bc"]},
        {"e": "cd", "v": ["a", "c", "d"], "p": ["ac", "cd"]},
    ]


def test_a_shortest_path_has_the_fewest_edges(graph: StandardDatabase) -> None:
    query = "FOR v, e IN OUTBOUND SHORTEST_PATH 'towns/a' TO 'towns/d' GRAPH 'map' RETURN [v._key, e._key]"
    assert run(graph, query) == [["a", None], ["c", "ac"], ["d", "cd"]]
    assert run(graph, query.replace("towns/d", "towns/e")) == []


def test_a_traversal_from_each_row(graph: StandardDatabase) -> None:
    query = "FOR t IN towns SORT t._key LET next = (FOR v IN OUTBOUND t roads RETURN v._key) RETURN [t._key, next]"
    assert run(graph, query) == [["a", ["b", "c"]], ["b", ["c"]], ["c", ["d"]], ["d", ["a"]], ["e", []]]


def test_graphs_are_created_listed_and_dropped(graph: StandardDatabase) -> None:
    assert [found["name"] for found in graph.graphs()] == ["map"]
    with pytest.raises(GraphCreateError) as again:
        graph.create_graph("map")
    assert again.value.error_code == 1925
    assert graph.graph("map").properties()["edge_definitions"][0]["edge_collection"] == "roads"
    assert graph.delete_graph("map", drop_collections=True)
    assert not graph.has_collection("towns")
    with pytest.raises(GraphDeleteError) as gone:
        graph.delete_graph("map")
    assert gone.value.error_code == 1924


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("FOR v IN OUTBOUND 'towns/a' GRAPH 'nope' RETURN v", 1924),
        ("FOR v IN OUTBOUND 'towns/a' towns RETURN v", 1218),
        ("FOR v IN ANY K_SHORTEST_PATHS 'towns/a' TO 'towns/b' roads RETURN v", 9),
        ("FOR v IN 3..1 OUTBOUND 'towns/a' roads RETURN v", 1501),
        ("FOR a, b IN towns RETURN a", 1501),
    ],
)
def test_wrong_traversals_are_refused(graph: StandardDatabase, query: str, number: int) -> None:
    with pytest.raises(AQLQueryExecuteError) as refused:
        run(graph, query)
    assert refused.value.error_code == number
