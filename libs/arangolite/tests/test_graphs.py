import pytest
from arango.database import StandardDatabase
from arango.exceptions import AQLQueryExecuteError, GraphCreateError, GraphDeleteError
from hypothesis import given, settings
from hypothesis import strategies as st


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


@pytest.fixture
def weighted(graph: StandardDatabase) -> StandardDatabase:
    """The direct road from a to c costs more than the two over b, and one road does not say."""
    roads = graph.collection("roads")
    for key, weight in {"ab": 1, "bc": 1, "ac": 5, "cd": 2.5}.items():
        roads.update({"_key": key, "km": weight})
    return graph


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "FOR v, e, p IN 0..3 OUTBOUND 'towns/a' roads OPTIONS {order: 'weighted', weightAttribute: 'km'} "
            "RETURN [v._key, p.weights]",
            [
                *(["a", [0]], ["b", [0, 1]], ["c", [0, 1, 2]], ["d", [0, 1, 2, 4.5]], ["c", [0, 5]]),
                *(["d", [0, 5, 7.5]], ["a", [0, 5, 7.5, 8.5]]),
            ],
        ),
        (
            "FOR v IN 1..9 OUTBOUND 'towns/a' roads "
            "OPTIONS {order: 'weighted', weightAttribute: 'km', uniqueVertices: 'global'} RETURN v._key",
            ["b", "c", "d"],
        ),
        (
            "FOR v, e IN OUTBOUND SHORTEST_PATH 'towns/a' TO 'towns/c' roads OPTIONS {weightAttribute: 'km'} "
            "RETURN e._key",
            [None, "ab", "bc"],
        ),
        (
            "FOR v, e IN OUTBOUND SHORTEST_PATH 'towns/d' TO 'towns/b' roads "
            "OPTIONS {weightAttribute: 'km', defaultWeight: 7} RETURN e._key",
            [None, "da", "ab"],
        ),
        (
            "FOR p IN OUTBOUND K_SHORTEST_PATHS 'towns/a' TO 'towns/d' roads OPTIONS {weightAttribute: 'km'} "
            "RETURN [p.edges[*]._key, p.weight]",
            [[["ab", "bc", "cd"], 4.5], [["ac", "cd"], 7.5]],
        ),
        ("FOR p IN OUTBOUND K_SHORTEST_PATHS 'towns/a' TO 'towns/a' roads RETURN p.weight", [0]),
        ("FOR p IN 2 ANY K_PATHS 'towns/a' TO 'towns/c' roads RETURN p.edges[*]._key", [["da", "cd"], ["ab", "bc"]]),
        ("FOR v IN 1..2 OUTBOUND 'towns/a' roads PRUNE end = v._key == 'c' RETURN [v._key, end]", None),
        ("FOR v IN 1..3 OUTBOUND 'towns/a' roads OPTIONS {vertexCollections: 'nothing'} RETURN v", []),
        ("FOR v IN 1..3 OUTBOUND 'towns/a' roads OPTIONS {edgeCollections: ['others']} RETURN v", []),
        ("FOR v IN OUTBOUND 'towns/nowhere' roads RETURN v", []),
        ("FOR v IN OUTBOUND SHORTEST_PATH 'towns/a' TO 'towns/nowhere' roads RETURN v", []),
    ],
)
def test_weights_and_options_decide_the_way(weighted: StandardDatabase, query: str, expected: list | None) -> None:
    if expected is None:
        expected = [["b", False], ["c", True], ["c", True]]
    assert run(weighted, query) == expected


pairs_of_towns = st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"), st.integers(0, 3))


@pytest.fixture(scope="session")
def mesh(system: StandardDatabase) -> StandardDatabase:
    """Towns that are there for the whole session, for roads that change."""
    system.create_collection("mesh_towns").insert_many([{"_key": key} for key in "abcd"])
    system.create_collection("mesh_roads", edge=True)
    return system


@settings(max_examples=25, deadline=None)
@given(roads=st.lists(pairs_of_towns, max_size=8))
def test_path_searches_find_what_trying_everything_finds(mesh: StandardDatabase, roads: list) -> None:
    mesh.collection("mesh_roads").truncate()
    edges = [
        {"_key": str(n), "_from": f"mesh_towns/{a}", "_to": f"mesh_towns/{b}", "km": km}
        for n, (a, b, km) in enumerate(roads)
    ]
    mesh.collection("mesh_roads").import_bulk(edges)
    every = sorted(ways(roads, "a", "d"))
    between = "'mesh_towns/a' TO 'mesh_towns/d' mesh_roads"
    found = run(
        mesh,
        f"FOR p IN OUTBOUND K_SHORTEST_PATHS {between} OPTIONS {{weightAttribute: 'km'}} "
        "RETURN [p.weight, p.edges[*]._key]",
    )
    assert [weight for weight, _ in found] == [weight for weight, _ in every]
    assert sorted(found) == every
    paths = [path for _, path in every]
    assert sorted(run(mesh, f"FOR p IN 0..9 OUTBOUND K_PATHS {between} RETURN p.edges[*]._key")) == sorted(paths)
    fewest = min(map(len, paths), default=0)
    shortest = sorted(path for path in paths if len(path) == fewest)
    assert sorted(run(mesh, f"FOR p IN OUTBOUND ALL_SHORTEST_PATHS {between} RETURN p.edges[*]._key")) == shortest
    first = run(mesh, f"FOR v, e IN OUTBOUND SHORTEST_PATH {between} RETURN e._key")[1:]
    assert first in shortest or (first == shortest == [])


def ways(roads: list, start: str, target: str, visited: str = "") -> list:
    if start == target:
        return [[0, []]]
    return [
        [km + weight, [str(n), *rest]]
        for n, (a, b, km) in enumerate(roads)
        if a == start and b not in visited + start
        for weight, rest in ways(roads, b, target, visited + start)
    ]


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
        ("FOR p IN 1..2 ANY K_SHORTEST_PATHS 'towns/a' TO 'towns/b' roads RETURN p", 1501),
        ("FOR v, e IN ANY K_SHORTEST_PATHS 'towns/a' TO 'towns/b' roads RETURN v", 1501),
        ("FOR v IN OUTBOUND 'towns/a' roads OPTIONS {order: 'weighted', defaultWeight: -1} RETURN v", 1948),
        ("FOR v IN ANY SHORTEST_PATH 'towns/a' TO 'towns/b' roads OPTIONS {defaultWeight: -1} RETURN v", 1948),
        ("FOR v IN 1..2 OUTBOUND 'towns/a' roads OPTIONS {uniqueVertices: 'global'} RETURN v", 10),
        ("FOR v IN 3..1 OUTBOUND 'towns/a' roads RETURN v", 1501),
        ("FOR a, b IN towns RETURN a", 1501),
    ],
)
def test_wrong_traversals_are_refused(graph: StandardDatabase, query: str, number: int) -> None:
    with pytest.raises(AQLQueryExecuteError) as refused:
        run(graph, query)
    assert refused.value.error_code == number
