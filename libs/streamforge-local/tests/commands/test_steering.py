"""`streamforge watch`, `stop`, `pause`, `resume`, `retry` and `logs`."""

import json

import pytest

ONE = "wf-btcusdt-api_candles_5m-20240801-a1b2c3"
AT = "2024-08-03T10:00:00.000Z"
AUDIT = [
    {"seq": 1, "kind": "status", "at": AT, "data": {"status": "pending"}},
    {"seq": 2, "kind": "command", "at": AT, "data": {"command": "start", "telemetry_id": "loader-producer__a1b2c3"}},
    {
        "seq": 3,
        "kind": "event",
        "at": AT,
        "data": {
            "producer": "loader-producer__a1b2c3",
            "status": "loading",
            "records_written": 1_000,
            "message": "1 of 2 pages [half]",
        },
    },
    {"seq": 4, "kind": "weather", "at": AT, "data": {"sun": True}},
    {"seq": 5, "kind": "status", "at": AT, "data": {"from": "loading", "status": "completed"}},
]


def test_watch_shows_the_audit_trail_until_the_workflow_has_ended(script, streamforge):
    script.audit, script.page = AUDIT, 2
    script.states = [script.workflow(ONE, "loading"), script.workflow(ONE)]

    result = streamforge("watch", ONE)

    told = [line.split(maxsplit=2)[1:] for line in result.stdout.splitlines()[:5]]
    assert told == [
        ["status", "pending"],
        ["command", "start → loader-producer__a1b2c3"],
        ["event", "loader-producer__a1b2c3  loading  1,000 records  1 of 2 pages [half]"],
        ["weather", "sun True"],
        ["status", "completed"],
    ]
    assert result.exit_code == 0


def test_watch_in_json_gives_every_item_once(script, streamforge):
    script.audit = AUDIT
    script.states = [script.workflow(ONE, "loading"), script.workflow(ONE, "loading"), script.workflow(ONE)]

    result = streamforge("watch", ONE, "--json")

    assert [json.loads(line) for line in result.stdout.splitlines()] == AUDIT
    assert (result.stderr, result.exit_code) == ("", 0)


@pytest.mark.parametrize("streams_last", [0, 2])
def test_watch_goes_on_where_a_stream_was_lost_and_asks_where_there_is_none(script, streamforge, streams_last):
    script.states = [script.workflow(status="loading"), script.workflow(status="loading"), script.workflow()]
    script.audit, script.streams_last = AUDIT, streams_last

    result = streamforge("watch", ONE, "--json")

    assert [json.loads(line) for line in result.stdout.splitlines()] == AUDIT


def test_watch_of_a_workflow_that_fails_exits_1(script, streamforge):
    script.states = [script.workflow(ONE, "error", error={"code": "x", "detail": "broken"})]

    result = streamforge("watch", ONE)

    assert (result.exit_code, result.stderr) == (1, f"error: {ONE} failed: broken (x)\n")


@pytest.mark.parametrize("wish", ["stop", "pause", "resume", "retry", "repair"])
def test_steering_posts_the_wish_and_shows_what_came_of_it(script, streamforge, wish):
    script.states = [script.workflow(ONE, "loading")]

    person, program = streamforge(wish, ONE), streamforge(wish, ONE, "--json")

    assert script.asked == [f"POST /workflows/{ONE}/{wish}"] * 2
    assert (person.stdout, person.exit_code) == (f"{ONE}: loading\n", 0)
    assert json.loads(program.stdout) == script.workflow(ONE, "loading")


@pytest.mark.parametrize(
    ("wish", "before", "after"),
    [("stop", "stopping", "stopped"), ("pause", "loading", "paused"), ("resume", "paused", "loading")],
)
def test_steering_waits_until_it_is_so(script, streamforge, wish, before, after):
    script.states = [script.workflow(ONE, before), script.workflow(ONE, before), script.workflow(ONE, after)]

    result = streamforge(wish, ONE, "--wait", "--json")

    assert json.loads(result.stdout)["status"] == after
    assert result.exit_code == 0


def test_waiting_for_what_will_never_be_exits_1(script, streamforge):
    script.states = [script.workflow(ONE, "loading"), script.workflow(ONE, "completed")]

    result = streamforge("pause", ONE, "--wait")

    assert (result.exit_code, result.stdout) == (1, f"{ONE}: completed\n")


@pytest.mark.parametrize("wish", ["retry", "repair"])
def test_another_attempt_is_followed_to_its_end(script, streamforge, wish):
    script.states = [script.workflow(ONE, "pending"), script.workflow(ONE, "loading"), script.workflow(ONE)]

    result = streamforge(wish, ONE, "--wait")

    assert "completed after 2.5 s" in result.stdout
    assert result.exit_code == 0


def test_a_wish_at_the_wrong_moment_exits_1_with_the_reason(script, streamforge):
    script.refusal = (409, {"detail": f"{ONE!r} is completed and cannot pause"})

    result = streamforge("pause", ONE)

    assert (result.exit_code, result.stderr) == (1, f"error: {ONE!r} is completed and cannot pause\n")


LOGS = (
    '{"time":"2024-08-03T10:00:00Z","level":"INFO","service":"loader-producer","message":"going on [1]"}\n'
    "Traceback (most recent call last):\n"
    '{"half": \n'
)


def test_logs_can_be_read_by_a_person(script, streamforge):
    script.states, script.logs = [script.workflow(ONE)], LOGS

    first, *rest = streamforge("logs", ONE, "--target", "loader-producer").stdout.splitlines()

    assert first.split(maxsplit=1)[1] == "INFO    loader-producer  going on [1]"
    assert rest == ["Traceback (most recent call last):", '{"half": ']
    assert script.asked == [f"GET /workflows/{ONE}/logs?target=loader-producer"]


def test_logs_in_json_are_json_lines_whatever_was_logged(script, streamforge):
    script.states, script.logs = [script.workflow(ONE)], LOGS

    entries = [json.loads(line) for line in streamforge("logs", ONE, "--json").stdout.splitlines()]

    assert [entry["message"] for entry in entries] == ["going on [1]", *LOGS.splitlines()[1:]]
