import pytest
from arango.database import StandardDatabase
from arango.exceptions import AQLQueryExecuteError, CursorNextError


def run(db: StandardDatabase, query: str, **bind: object) -> list:
    return list(db.aql.execute(query, bind_vars=bind))


EXPRESSIONS = [
    ("1 + 2 * 3", 7),
    ("7 / 2", 3.5),
    ("4 / 2", 2),
    ("-7 % 3", -1),
    ("1 + '2'", 3),
    ("1 + 'a'", 1),
    ("1 + null + true", 2),
    ("[5] + 1", 6),
    ("1 / 0", None),
    ("null < false", True),
    ("1 == 1.0", True),
    ("'1' == 1", False),
    ("{a: 1, b: 2} == {b: 2, a: 1}", True),
    ("[1, null] == [1]", True),
    ("'a' < 'B'", False),
    ("1 IN [1, 2]", True),
    ("3 NOT IN [1, 2]", True),
    ("1 IN 'x'", False),
    ("'foobar' LIKE 'foo%'", True),
    ("'foobar' LIKE 'FOO%'", False),
    ("'a_b' LIKE 'a\\\\_b'", True),
    ("'foobar' NOT LIKE '_'", True),
    ("'abc' =~ '^[a-c]+$'", True),
    ("'abc' !~ '^x'", True),
    ("1 || 7", 1),
    ("null || 'foo'", "foo"),
    ("1 && null", None),
    ("NOT 'x'", False),
    ("!0", True),
    ("true ? 'y' : 'n'", "y"),
    ("0 ?: 'n'", "n"),
    ("false ? 1 : true ? 2 : 3", 2),
    ("1..4", [1, 2, 3, 4]),
    ("3..1", [3, 2, 1]),
    ("[1,2,3][-1]", 3),
    ("[1,2,3][5]", None),
    ("{a: {b: [1, {c: 5}]}}.a.b[1].c", 5),
    ("{a: 1}['a']", 1),
    ("'x'.y", None),
    ("[{a: 1}, {a: 2}, 3][*].a", [1, 2, None]),
    ("[[1, 2], [3, [4]]][**]", [1, 2, 3, [4]]),
    ("(1..9)[* FILTER CURRENT % 2 == 0 LIMIT 1, 2 RETURN CURRENT * 10]", [40, 60]),
    ("[1, 2, 3] ALL > 0", True),
    ("[1, 2, 3] ANY == 2", True),
    ("[1, 2, 3] NONE IN [4]", True),
    ("[1, 2, 3] ALL NOT IN [1]", False),
    ("{[CONCAT('a', 'b')]: 1, 'c d': 2}", {"ab": 1, "c d": 2}),
    ("LENGTH('äöü') + LENGTH([1, 2]) + LENGTH({a: 1}) + LENGTH(null)", 6),
    ("CONCAT('a', 1, true, null, [1], {b: 2})", 'a1true[1]{"b":2}'),
    ("CONCAT_SEPARATOR('-', ['a', null, 'b'])", "a-b"),
    ("TO_NUMBER('3.5') + TO_NUMBER('x')", 3.5),
    ("TO_STRING(1.0)", "1"),
    ("ROUND(-2.5)", -2),
    ("FLOOR(-0.5)", -1),
    ("MIN([3, null, 'a', 1])", 1),
    ("MAX([3, null, 'a', 1])", "a"),
    ("SUM([1, null, 2.5])", 3.5),
    ("AVERAGE([])", None),
    ("MEDIAN([4, 1, 3, 2])", 2.5),
    ("SUBSTRING('abcdef', -3, 2)", "de"),
    ("SUBSTITUTE('the quick', {the: 'A', quick: 'B'})", "A B"),
    ("SPLIT('a-b_c', ['-', '_'])", ["a", "b", "c"]),
    ("FLATTEN([1, [2, [3]]], 2)", [1, 2, 3]),
    ("UNIQUE([1, 1.0, '1', {a: 1}, {a: 1}])", [1, "1", {"a": 1}]),
    ("INTERSECTION([1, 2, 3], [3, 2])", [2, 3]),
    ("MINUS([1, 2, 3], [3])", [1, 2]),
    ("MERGE({a: 1}, {b: 2}, {a: 3})", {"a": 3, "b": 2}),
    ("MERGE_RECURSIVE({a: {b: 1}}, {a: {c: 2}})", {"a": {"b": 1, "c": 2}}),
    ("KEEP({a: 1, b: 2}, 'a', 'x')", {"a": 1}),
    ("UNSET({a: 1, b: 2}, ['a'])", {"b": 2}),
    ("HAS({a: null}, 'a')", True),
    ("ATTRIBUTES({_k: 1, b: 2}, true)", ["b"]),
    ("ZIP(['a', 'b'], [1, 2])", {"a": 1, "b": 2}),
    ("TYPENAME([])", "array"),
    ("SLICE([1, 2, 3, 4, 5], 1, -1)", [2, 3, 4]),
    ("DATE_TIMESTAMP('2014-05-07T14:19:09.522')", 1399472349522),
    ("DATE_ISO8601(2014, 5, 7, 14, 19, 9, 522)", "2014-05-07T14:19:09.522Z"),
    ("DATE_TIMESTAMP(2016, 2, 32)", 1456963200000),
    ("DATE_TIMESTAMP('nonsense')", None),
    ("DATE_DAYOFWEEK('2020-08-29')", 6),
    ("DATE_YEAR('2023-12-31T23:00:00.000Z', 'Europe/Berlin')", 2024),
    ("DATE_ADD('2016-02-29', 1, 'year')", "2017-03-01T00:00:00.000Z"),
    ("DATE_ADD('2016-02-01', 'P1Y2M3DT4H')", "2017-04-04T04:00:00.000Z"),
    ("DATE_SUBTRACT('2022-07-14', 1, 'd')", "2022-07-13T00:00:00.000Z"),
    ("DATE_DIFF('2022-07-14', '2022-08-17', 'd')", 34),
    ("DATE_TRUNC('2017-02-03 04:05:06', 'hours')", "2017-02-03T04:00:00.000Z"),
    ("DATE_ROUND('2000-04-10T11:39:29Z', 15, 'minutes')", "2000-04-10T11:30:00.000Z"),
    ("DATE_FORMAT('2016-03-01', '%dd.%mm.%yyyy %xxx%% %q%&x')", "01.03.2016 061% 1x"),
    ("LENGTH(FOR i IN 1..3 RETURN i)", 3),
    ("SUM((FOR i IN 1..3 FILTER i > 1 RETURN i))", 5),
    ("MD5('foobar')", "3858f62230ac3c915f300c664312c63f"),
    ("LEVENSHTEIN_DISTANCE('foobar', 'bar')", 3),
    ("SCHEMA_VALIDATE({a: 1}, {})", {"valid": True}),
    ("SCHEMA_VALIDATE({a: 1}, {rule: {required: ['a']}, level: 'none'}).valid", True),
    ("SCHEMA_VALIDATE({}, {rule: {required: ['a']}, message: 'no'})", {"valid": False, "errorMessage": "no"}),
    ("0x1F + 0b11", 34),
    ('"\\u00e4\\n\\"" ', 'ä\n"'),
]


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS)
def test_expressions_have_aqls_values(system: StandardDatabase, expression: str, expected: object) -> None:
    (value,) = run(system, f"RETURN {expression}")
    assert value == expected
    assert type(value) is type(expected)


QUERIES = [
    ("FOR i IN 1..5 FILTER i % 2 == 1 RETURN i", [1, 3, 5]),
    ("FOR i IN [3, 1, 2] SORT i DESC LIMIT 1, 2 RETURN i", [2, 1]),
    ("FOR i IN [1, 2] FOR j IN [10, 20] RETURN i + j", [11, 21, 12, 22]),
    ("LET a = 1, b = a + 1 RETURN [a, b]", [[1, 2]]),
    ("FOR i IN [1, 1.0, '1'] RETURN DISTINCT i", [1, "1"]),
    ("FOR i IN 1..10 COLLECT odd = i % 2 RETURN odd", [0, 1]),
    ("FOR i IN 1..10 COLLECT odd = i % 2 WITH COUNT INTO n RETURN [odd, n]", [[0, 5], [1, 5]]),
    ("FOR i IN 1..4 COLLECT odd = i % 2 INTO g RETURN g[*].i", [[2, 4], [1, 3]]),
    (
        "FOR i IN 1..4 LET j = i * 10 COLLECT odd = i % 2 INTO g KEEP j RETURN g",
        [[{"j": 20}, {"j": 40}], [{"j": 10}, {"j": 30}]],
    ),
    ("FOR i IN 1..4 COLLECT odd = i % 2 INTO g = i * 2 RETURN g", [[4, 8], [2, 6]]),
    (
        "FOR i IN 1..4 COLLECT AGGREGATE s = SUM(i), m = MAX(i), a = AVG(i), n = COUNT() RETURN [s, m, a, n]",
        [[10, 4, 2.5, 4]],
    ),
    ("FOR i IN [] COLLECT AGGREGATE s = SUM(i), m = MAX(i), n = LENGTH(1) RETURN [s, m, n]", [[None, None, 0]]),
    ("FOR i IN [] COLLECT WITH COUNT INTO n RETURN n", [0]),
    (
        "LET x = 5 FOR i IN 1..2 LET y = i COLLECT g = y INTO m RETURN [x, g, m]",
        [[5, n, [{"i": n, "y": n}]] for n in (1, 2)],
    ),
    ("LET x = 5 FOR i IN [] COLLECT AGGREGATE m = MAX(i) RETURN [x, m]", [[5, None]]),
    (
        "FOR o IN [7] LET r = (LET x = o FOR i IN 1..2 COLLECT WITH COUNT INTO n RETURN [o, x, n]) RETURN r",
        [[[7, 7, 2]]],
    ),
    ("LET x = 5 COLLECT g = x INTO m RETURN [g, m]", [[5, [{"x": 5}]]]),
    (
        "FOR i IN [7, 3, null] COLLECT AGGREGATE a = BIT_AND(i), o = BIT_OR(i), x = BIT_XOR(i) RETURN [a, o, x]",
        [[3, 7, 4]],
    ),
    (
        "FOR i IN [3, 1, 3] COLLECT AGGREGATE u = UNIQUE(i), s = SORTED_UNIQUE(i), c = COUNT_UNIQUE(i) "
        "RETURN [u, s, c]",
        [[[3, 1], [1, 3], 2]],
    ),
    ("FOR x IN [{a: 1, b: 2}, {a: 1, b: 1}, {a: 0, b: 9}] SORT x.a DESC, x.b RETURN x.b", [1, 2, 9]),
    (
        "FOR u IN [{n: 'a', v: [1, 2]}, {n: 'b', v: []}] "
        "LET s = (FOR x IN u.v COLLECT WITH COUNT INTO c RETURN c) RETURN [u.n, s]",
        [["a", [2]], ["b", [0]]],
    ),
    (
        "FOR i IN 1..5 WINDOW {preceding: 1, following: 1} AGGREGATE s = SUM(i), m = MAX(i) RETURN [i, s, m]",
        [[1, 3, 2], [2, 6, 3], [3, 9, 4], [4, 12, 5], [5, 9, 5]],
    ),
    ("FOR i IN 1..4 WINDOW {preceding: 'unbounded'} AGGREGATE s = SUM(i) RETURN s", [1, 3, 6, 10]),
    (
        "FOR x IN [5, 1, 2, 8] WINDOW x WITH {preceding: 3} AGGREGATE n = COUNT() RETURN [x, n]",
        [[1, 1], [2, 2], [5, 2], [8, 2]],
    ),
    (
        "FOR t IN ['2021-01-01', '2021-01-02', '2021-02-01'] WINDOW t WITH {preceding: 'P1D', following: 'P1D'} "
        "AGGREGATE n = COUNT() RETURN n",
        [2, 2, 1],
    ),
    ("FOR i IN 1..3 LIMIT 0 RETURN i", []),
    ("FOR i IN 1..3 SORT i DESC LIMIT 1, 1e30 RETURN i", [2, 1]),
    ("FOR i IN 1..3 LIMIT 9223372036854775807, 9223372036854775807 RETURN i", []),
    ("RETURN [1, 2, 3][* LIMIT 1, 1e30]", [[2, 3]]),
    ("RETURN (FOR i IN 1..2 RETURN i)", [[1, 2]]),
    ("FOR i IN (FOR j IN 1..3 RETURN j * 2) FILTER i > 2 RETURN i", [4, 6]),
    ("LET x = {`for`: 1} RETURN x.`for`", [1]),
    ("// comment\nRETURN /* another */ 1", [1]),
    ("return 1", [1]),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_queries_give_what_aql_gives(system: StandardDatabase, query: str, expected: list) -> None:
    assert run(system, query) == expected


ERRORS = [
    ("RETURN", 1501),
    ("FOR x IN", 1501),
    ("RETURN 1 +", 1501),
    ("RETURN 'open", 1501),
    ("RETURN for", 1501),
    ("FOR x IN [1] FILTER x", 1501),
    ("", 1502),
    ("FOR x IN nowhere RETURN x", 1203),
    ("RETURN nowhere", 1203),
    ("FOR i IN 1..3 LET y = i COLLECT g = i RETURN y", 1203),
    ("FOR i IN 1..3 COLLECT AGGREGATE m = i RETURN m", 1574),
    ("FOR i IN 1..3 WINDOW {preceding: 1} AGGREGATE m = CONCAT(i) RETURN m", 1574),
    ("RETURN @x", 1551),
    ("FOR x IN [1] FOR x IN [2] RETURN x", 1511),
    ("LET x = 1 LET x = 2 RETURN x", 1511),
    ("RETURN NO_SUCH_FUNCTION(1)", 1540),
    ("RETURN LENGTH()", 1541),
    ("FOR x IN 5 RETURN x", 1563),
    ("FOR x IN null RETURN x", 1563),
    ("RETURN FAIL('so')", 1569),
    ("FOR i IN 1..3 LIMIT -1 RETURN i", 1504),
    ("RETURN [1, 2][* LIMIT -1]", 1504),
    ("RETURN GEO_DISTANCE([0, 0], [1, 1], 'wgs84')", 9),
    ("RETURN TOKENS('a b', 'text_en')", 9),
    ("RETURN CALL('NO_SUCH_FUNCTION')", 1540),
    ("RETURN CALL('LENGTH')", 1541),
    ("RETURN CALL('TOKENS', 'a')", 9),
    ("RETURN MY::OWN(1)", 1582),
    ("RETURN APPLY('my::own', [1])", 1582),
    ("RETURN SCHEMA_GET('nowhere')", 1203),
    ("RETURN SCHEMA_VALIDATE({}, {rule: 5})", 1621),
    ("RETURN REPLACE_NTH(['a'], 6, 'z')", 1542),
    ("RETURN ASSERT(false, 'so')", 1593),
]


@pytest.mark.parametrize(("query", "number"), ERRORS)
def test_wrong_queries_are_refused_with_arangodbs_numbers(system: StandardDatabase, query: str, number: int) -> None:
    with pytest.raises(AQLQueryExecuteError) as refused:
        run(system, query)
    assert refused.value.error_code == number


def test_bind_parameters_are_values_names_and_paths(db: StandardDatabase) -> None:
    db.create_collection("things").insert({"_key": "a", "x": {"y": 5}})
    query = "FOR d IN @@c FILTER d.@path == @value RETURN {[@name]: d.x[@attribute]}"
    found = run(db, query, **{"@c": "things", "path": ["x", "y"], "value": 5, "name": "n", "attribute": "y"})
    assert found == [{"n": 5}]
    with pytest.raises(AQLQueryExecuteError) as unused:
        run(db, "RETURN 1", x=1)
    assert unused.value.error_code == 1552
    with pytest.raises(AQLQueryExecuteError) as wrong:
        run(db, "FOR d IN @@c RETURN d", **{"@c": 5})
    assert wrong.value.error_code == 1553


def test_documents_have_their_system_attributes(db: StandardDatabase) -> None:
    things = db.create_collection("things")
    things.insert({"_key": "a", "x": 1})
    document = things.get("a")
    assert run(db, "FOR d IN things RETURN d") == [document]
    assert run(db, "FOR d IN things RETURN [d._id, d._key, d._rev, d.x]") == [["things/a", "a", document["_rev"], 1]]
    assert run(db, "FOR d IN things RETURN {whole: d, x: d.x}") == [{"whole": document, "x": 1}]
    assert run(db, "FOR d IN things RETURN MERGE(d, {x: 2})") == [{**document, "x": 2}]
    assert run(db, "RETURN DOCUMENT('things/a')") == [document]
    assert run(db, "RETURN DOCUMENT('things', ['a', 'b'])") == [[document]]
    assert run(db, "RETURN LENGTH(things)") == [1]
    assert run(db, "FOR d IN things LET e = d RETURN e") == [document]
    assert run(db, "RETURN (FOR d IN things RETURN d)[0]") == [document]


def test_warnings_are_told_and_may_be_errors(system: StandardDatabase) -> None:
    cursor = system.aql.execute("RETURN 1 / 0")
    assert [warning["code"] for warning in cursor.warnings()] == [1562]
    with pytest.raises(AQLQueryExecuteError) as refused:
        system.aql.execute("RETURN 1 / 0", fail_on_warning=True)
    assert refused.value.error_code == 1562


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("FOR i IN 1..20000 SORT i DESC RETURN i", False),
        ("FOR i IN 1..20000 SORT i DESC LIMIT 5 RETURN i", True),
        ("FOR i IN 1..20000 COLLECT g = i RETURN g", False),
        ("FOR i IN 1..20000 COLLECT g = i % 3 INTO members RETURN g", False),
        ("FOR i IN 1..20000 COLLECT g = i % 3 AGGREGATE u = UNIQUE(i) RETURN g", False),
        ("FOR i IN 1..20000 COLLECT g = i % 3 WITH COUNT INTO n RETURN [g, n]", True),
        ("FOR i IN 1..20000 RETURN DISTINCT i", False),
        ("FOR i IN 1..20000 RETURN DISTINCT i % 3", True),
        ("LET numbers = 1..1000000 RETURN LENGTH(numbers)", False),
        ("FOR i IN 1..2000 LET few = (FOR j IN 1..10 SORT j DESC RETURN j) RETURN few[0]", True),
        ("RETURN (FOR i IN 1..20000 RETURN i)", False),
        ("FOR i IN 1..20000 RETURN i", True),
    ],
)
def test_a_query_that_holds_too_much_is_ended(system: StandardDatabase, query: str, fits: bool) -> None:
    assert list(system.aql.execute(query)) != []
    if fits:
        assert list(system.aql.execute(query, memory_limit=300_000)) != []
    else:
        with pytest.raises((AQLQueryExecuteError, CursorNextError)) as refused:
            list(system.aql.execute(query, memory_limit=300_000))
        assert refused.value.error_code == 32


def test_as_many_warnings_are_told_as_are_wanted(system: StandardDatabase) -> None:
    query = "FOR i IN 1..50 RETURN i / 0"
    assert len(system.aql.execute(query).warnings()) == 10
    assert len(system.aql.execute(query, max_warning_count=3).warnings()) == 3


@pytest.mark.parametrize(
    ("expression", "code", "message"),
    [
        ("1 % 0", 1562, "division by zero"),
        ("ATTRIBUTES(null)", 1542, "invalid argument type in call to function 'ATTRIBUTES()'"),
        ("FIRST('a')", 1563, "array expected"),
        ("SUM(5)", 1563, "array expected"),
        ("DATE_YEAR('nonsense')", 1572, "invalid date value"),
        ("REGEX_TEST('a', '(')", 1543, "invalid regex value"),
        ("BIT_AND(['x'])", 1542, "invalid argument type in call to function 'BIT_AND()'"),
        ("WARN(false, 'so')", 1594, "so"),
        ("CALL('ATTRIBUTES', 1)", 1542, "invalid argument type in call to function 'ATTRIBUTES()'"),
        ("SCHEMA_VALIDATE(5, {})", 1542, "invalid argument type in call to function 'SCHEMA_VALIDATE()'"),
    ],
)
def test_a_value_that_cannot_be_used_gives_arangodbs_warning(
    system: StandardDatabase, expression: str, code: int, message: str
) -> None:
    assert system.aql.execute(f"RETURN {expression}").warnings() == [{"code": code, "message": message}]


def test_a_query_knows_where_it_runs(db: StandardDatabase) -> None:
    assert run(db, "RETURN [CURRENT_DATABASE(), VERSION()]") == [[db.name, "3.12.4"]]


def test_a_schema_is_told(db: StandardDatabase) -> None:
    schema = {"rule": {"type": "object"}, "level": "new", "message": "no", "type": "json"}
    db.create_collection("things", schema=schema)
    db.create_collection("others")
    assert run(db, "RETURN [SCHEMA_GET('things'), SCHEMA_GET('others')]") == [[schema, None]]


def test_a_query_that_runs_too_long_is_killed(system: StandardDatabase) -> None:
    long = "FOR a IN 1..10000 FOR b IN 1..10000 COLLECT WITH COUNT INTO n RETURN n"
    with pytest.raises(AQLQueryExecuteError) as killed:
        system.aql.execute(long, max_runtime=0.2)
    assert killed.value.error_code == 1500
    assert killed.value.http_code == 410
