import asyncio

import msgspec
import pytest
from aiohttp import ClientConnectionError, ClientTimeout

from exchange_sim.faults.plan import Fault, FaultKind, FaultPlan

FIRST = 1_657_756_800_000
STEP = 300_000
KLINES = "/api/v3/klines"
QUERY = {"symbol": "ABCUSDT", "interval": "5m", "startTime": str(FIRST), "limit": "6"}


@pytest.fixture
async def session(recorded, open_exchange):
    return await open_exchange(recorded)


async def plan(session, *faults):
    async with session.put("/_sim/faults", json=list(faults)) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def ask(session, **query):
    async with session.get(KLINES, params=QUERY | query) as response:
        return response.status, await response.read(), response.headers


async def requests(session):
    async with session.get("/_sim/requests") as response:
        return [msgspec.json.decode(line) for line in (await response.read()).splitlines()]


async def served(session):
    async with session.get("/_sim/served") as response:
        lines = [msgspec.json.decode(line) for line in (await response.read()).splitlines()]
    return {(line["item"][0] - FIRST) // STEP: line["times"] for line in lines}


async def fired(session):
    async with session.get("/_sim/faults") as response:
        return [(fault["seen"], fault["fired"], fault["remaining"]) for fault in await response.json()]


async def test_a_fault_lets_some_requests_pass_then_fires_as_often_as_asked_and_says_so(session):
    await plan(session, {"path": KLINES, "kind": "503", "count": 2, "after": 1})
    assert [(await ask(session))[0] for _ in range(4)] == [200, 503, 503, 200]
    assert await fired(session) == [(4, 2, 0)]
    assert [request["fault"] for request in await requests(session)] == [None, "503", "503", None]
    assert set((await served(session)).values()) == {2}


async def test_faults_of_other_paths_do_not_fire(session):
    await plan(session, {"path": "/api/v3/time", "kind": "500"})
    assert (await ask(session))[0] == 200
    assert await fired(session) == [(0, 0, 1)]


async def test_a_plan_can_be_cleared(session):
    await plan(session, {"path": "*", "kind": "500"})
    async with session.delete("/_sim/faults") as response:
        assert response.status == 204
    assert (await ask(session))[0] == 200


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_is_answered_with_a_code(session, status):
    await plan(session, {"path": KLINES, "kind": str(status)})
    answered, body, _ = await ask(session)
    assert answered == status
    assert msgspec.json.decode(body)["code"] < 0
    assert await served(session) == {}


async def test_429_says_how_long_to_wait(session):
    await plan(session, {"path": KLINES, "kind": "429", "seconds": 7})
    status, body, headers = await ask(session)
    assert (status, headers["Retry-After"], msgspec.json.decode(body)["code"]) == (429, "7", -1003)


async def test_418_is_a_ban_from_every_path_and_what_comes_during_it_is_recorded(session):
    await plan(session, {"path": KLINES, "kind": "418", "seconds": 0.5})
    status, _, headers = await ask(session)
    assert (status, headers["Retry-After"]) == (418, "1")
    async with session.get("/api/v3/ping") as response:
        assert response.status == 418
    await asyncio.sleep(0.6)
    assert (await ask(session))[0] == 200
    recorded = await requests(session)
    assert [request["in_ban"] for request in recorded] == [False, True, False]
    assert 0 <= recorded[1]["ban_age_ms"] < 500


async def test_a_timeout_is_never_answered(session):
    await plan(session, {"path": KLINES, "kind": "timeout"})
    with pytest.raises(TimeoutError):
        await session.get(KLINES, params=QUERY, timeout=ClientTimeout(total=0.2))
    [request] = await requests(session)
    assert (request["fault"], request["status"]) == ("timeout", None)
    assert (await ask(session))[0] == 200


async def test_a_slow_answer_is_a_whole_one(session):
    await plan(session, {"path": KLINES, "kind": "slow", "seconds": 0.3})
    with pytest.raises(TimeoutError):
        await session.get(KLINES, params=QUERY, timeout=ClientTimeout(total=0.1))
    await plan(session, {"path": KLINES, "kind": "slow", "seconds": 0.1})
    status, body, _ = await ask(session)
    assert (status, len(msgspec.json.decode(body))) == (200, 6)
    assert await served(session) == dict.fromkeys(range(6), 1)


async def test_a_reset_ends_the_connection(session):
    # Twice: aiohttp itself tries a GET once more when a connection that it had kept turns out to be dead.
    await plan(session, {"path": KLINES, "kind": "reset", "count": 2})
    with pytest.raises(ClientConnectionError):
        await ask(session)
    assert (await ask(session))[0] == 200
    assert await fired(session) == [(3, 2, 0)]


@pytest.mark.parametrize("kind", ["truncated_json", "malformed_json"])
async def test_broken_json_comes_with_status_200_and_counts_as_not_served(session, kind):
    await plan(session, {"path": KLINES, "kind": kind})
    status, body, headers = await ask(session)
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)
    assert await served(session) == {}


async def test_html_comes_with_status_200(session):
    await plan(session, {"path": KLINES, "kind": "html"})
    status, body, headers = await ask(session)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("short_page", [0, 1, 2]),
        ("duplicated_rows", [0, 1, 2, 3, 4, 5, 4, 5]),
        ("missing_rows", [0, 1, 3, 4, 5]),
    ],
)
async def test_wrong_rows_are_served_and_counted_as_they_were_sent(session, kind, expected):
    await plan(session, {"path": KLINES, "kind": kind})
    _, body, _ = await ask(session)
    given = [(row[0] - FIRST) // STEP for row in msgspec.json.decode(body)]
    assert given == expected
    assert await served(session) == {number: given.count(number) for number in given}


async def test_a_fault_of_rows_waits_for_an_answer_that_has_them(session):
    await plan(session, {"path": KLINES, "kind": "missing_rows"})
    assert len(msgspec.json.decode((await ask(session, limit="2"))[1])) == 2
    assert await fired(session) == [(1, 0, 1)]
    assert len(msgspec.json.decode((await ask(session))[1])) == 5
    assert await fired(session) == [(2, 1, 0)]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[",
        b'[{"path":"*"}]',
        b'[{"path":"*","kind":"earthquake"}]',
        b'[{"path":"*","kind":"500","count":0}]',
        b'[{"path":"*","kind":"500","often":1}]',
    ],
)
async def test_a_plan_that_makes_no_sense_is_refused_with_what_is_expected(session, body):
    async with session.put("/_sim/faults", data=body) as response:
        assert response.status == 400
        assert "kind one of 429, 418" in await response.text()


def test_of_several_faults_that_are_due_the_first_fires_and_the_others_wait():
    faults = FaultPlan()
    faults.replace([Fault("/a*", FaultKind.HTML, after=1), Fault("/a", FaultKind.RESET, count=2)])
    taken = [faults.take("/a", lambda _: True) for _ in range(4)]
    assert [fault and str(fault.kind) for fault in taken] == ["reset", "html", "reset", None]
