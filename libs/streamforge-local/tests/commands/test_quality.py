"""`streamforge quality` and `rm`."""

import json

import pytest

ONE = "wf-btcusdt-api_candles_5m-20240801-a1b2c3"
MIDNIGHT_MS = 1_722_470_400_000
GAPS = [
    {"from": MIDNIGHT_MS, "to": MIDNIGHT_MS + 600_000, "missing": 2, "cause": "exchange"},
    {"from": MIDNIGHT_MS + 900_000, "to": MIDNIGHT_MS + 901_000, "missing": 1, "cause": "unexplained"},
]


def words(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_complete_workflow_exits_0(script, streamforge):
    script.states = script.workflows = [script.workflow()]

    result = streamforge("quality", "last")

    assert result.exit_code == 0
    assert words(result.stdout) == [
        ONE,
        "verdict: complete, 288 of 288 expected records stored",
        "",
        "DATASET EXPECTED STORED MISSING REPEATED OUT OF RANGE REJECTED VERDICT",
        "BTCUSDT api_candles_5m 288 288 0 0 0 0 complete",
    ]


def test_gaps_are_shown_with_times_that_people_read(script, streamforge):
    script.states = script.workflows = [script.workflow()]
    script.quality = script.report("incomplete", stored=285, missing=3, rejected=1, gaps=GAPS, gaps_total=2)

    result = streamforge("quality", ONE)

    assert result.exit_code == 1
    assert "verdict: incomplete, 285 of 288 expected records stored, 3 missing, 1 rejected" in result.stdout
    assert words(result.stdout)[-3:] == [
        "GAP FROM (UTC) TO (EXCLUSIVE) MISSING CAUSE",
        "2024-08-01 00:00 2024-08-01 00:10 2 the exchange does not have them",
        "2024-08-01 00:15 2024-08-01 00:15:01 1 unexplained",
    ]


def test_of_a_basket_the_symbols_are_shown_that_are_not_complete(script, streamforge):
    workflow = script.workflow()
    workflow["datasets"][0] |= {"symbol": "MULTI", "options": {"symbols": ["BTCUSDT", "DEADUSDT", "ETHUSDT"]}}
    script.states = script.workflows = [workflow]
    counts = {"stored": 288, "missing": 0, "repeated": None, "out_of_range": 0, "rejected": 0}
    counts |= {"gaps": [], "gaps_total": 0, "error": None}
    error = {"code": "exchange_refused", "detail": "-1121 Invalid symbol.", "retryable": False}
    symbols = [
        {"symbol": "BTCUSDT", "verdict": "complete", "expected": 288, **counts},
        {"symbol": "DEADUSDT", "verdict": "incomplete", "expected": None, **counts, "stored": 0, "error": error},
        {"symbol": "ETHUSDT", "verdict": "incomplete", "expected": 288, **counts, "stored": 287, "missing": 1},
    ]
    gaps = [{**GAPS[1], "symbol": "ETHUSDT"}]
    script.quality = script.report(
        "incomplete", expected=576, stored=575, missing=1, symbols=symbols, gaps=gaps, gaps_total=1
    )

    shown = words(streamforge("quality", ONE).stdout)

    assert shown[1] == (
        "verdict: incomplete, 575 of 576 expected records stored, 1 missing, 1 symbols that could not be loaded"
    )
    assert shown[-6:] == [
        "SYMBOL EXPECTED STORED MISSING REJECTED VERDICT WHY",
        "DEADUSDT unknown 0 0 0 incomplete -1121 Invalid symbol.",
        "ETHUSDT 288 287 1 0 incomplete",
        "",
        "SYMBOL GAP FROM (UTC) TO (EXCLUSIVE) MISSING CAUSE",
        "ETHUSDT 2024-08-01 00:15 2024-08-01 00:15:01 1 unexplained",
    ]


def test_price_jumps_and_disagreements_are_told(script, streamforge):
    script.states = script.workflows = [script.workflow()]
    jumps = [{"at": MIDNIGHT_MS, "id": n, "previous": 100.0, "price": 121.5} for n in range(5)]
    checks = [{"compared": 288, "differing": 2}]
    script.quality = script.report("complete", anomalies=jumps, anomalies_total=7) | {"cross_checks": checks}

    assert words(streamforge("quality", ONE).stdout)[-8:] == [
        "PRICE JUMP AT (UTC) FROM TO",
        *["2024-08-01 00:00 100 121.5"] * 5,
        "and 2 more price jumps",
        "2 of 288 candles differ from the stored trades of their range",
    ]


def test_gaps_of_live_records_that_nothing_numbers_are_told_by_their_times(script, streamforge):
    workflow = script.workflow()
    workflow["datasets"][0] |= {"type": "ws_trades", "time_range": ""}
    script.states = script.workflows = [workflow]
    gap = {"from": MIDNIGHT_MS, "to": MIDNIGHT_MS + 1_000, "missing": None, "cause": "unexplained"}
    script.quality = script.report("unproven", expected=None, gaps=[gap], gaps_total=1)

    assert words(streamforge("quality", ONE).stdout)[-2:] == [
        "GAP FROM (UTC) TO (EXCLUSIVE) MISSING CAUSE",
        "2024-08-01 00:00 2024-08-01 00:00:01 unknown unexplained",
    ]


def test_gaps_of_trades_are_told_by_their_ids_and_only_the_first_are_listed(script, streamforge):
    workflow = script.workflow()
    workflow["datasets"][0]["type"] = "api_agg_trades"
    script.states = script.workflows = [workflow]
    gaps = [{"from": n * 10, "to": n * 10 + 3, "missing": 3, "cause": "exchange"} for n in range(1, 12)]
    script.quality = script.report("complete", stored=255, missing=33, gaps=gaps, gaps_total=3_000)

    told = words(streamforge("quality", ONE).stdout)

    assert told[1] == "verdict: complete, 255 of 288 expected records stored, 33 that the exchange does not have"
    assert "GAP FROM (ID) TO (EXCLUSIVE) MISSING CAUSE" in told
    assert told[-2:] == [
        "100 103 3 the exchange does not have them",
        "and 2,990 more gaps; --json lists up to 1,000",
    ]


@pytest.mark.parametrize("verdict", ["running", "unproven"])
def test_what_is_not_known_to_be_complete_exits_1(script, streamforge, verdict):
    script.states = script.workflows = [script.workflow()]
    script.quality = script.report(verdict, expected=None)

    result = streamforge("quality", ONE)

    assert result.exit_code == 1
    assert f"verdict: {verdict}, 288 records stored, and no way to know how many there should be" in result.stdout
    assert json.loads(streamforge("quality", ONE, "--json").stdout) == script.quality


def test_an_ended_workflow_is_removed_with_its_data_only_when_asked(script, streamforge):
    script.workflows = [script.workflow()]

    kept, gone = streamforge("rm", "last"), streamforge("rm", ONE, "--data", "--json")

    assert script.asked[1:] == [f"DELETE /workflows/{ONE}?data=false", f"DELETE /workflows/{ONE}?data=true"]
    assert kept.stdout == f"{ONE} is removed; what it has stored is still there\n"
    assert json.loads(gone.stdout) == {"queue_id": ONE, "removed": True}


def test_a_workflow_that_has_not_ended_is_not_removed(script, streamforge):
    script.refusal = (409, {"detail": "it is loading: stop it first"})

    result = streamforge("rm", ONE)

    assert (result.exit_code, result.stderr) == (1, "error: it is loading: stop it first\n")
