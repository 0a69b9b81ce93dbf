"""Baskets: what is asked for, and what the report says of each symbol, counted in the embedded database."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from queue_manager.adapters.evidence import ArangoEvidence
from queue_manager.app.lifecycle import note_event
from queue_manager.app.missing import Cause
from queue_manager.app.quality import Verdict, report_quality
from queue_manager.app.repairs import find_missing
from queue_manager.app.requests import InvalidRequestError, WorkflowRequest, check_request
from queue_manager.app.wishes import NotPossibleError, repair
from queue_manager.app.workflow import Workflow, WorkflowStatus, new_workflow
from streamforge_common.arango.database import ensure_collection
from streamforge_common.contract.events import Event
from streamforge_common.ids import COLLECTION_PATTERN, SYMBOL_PATTERN

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START_MS, MINUTE_MS, DAY = 1_722_470_400_000, 60_000, 1_440
LIVE = {"time_range": ""}
ERROR = {"code": "exchange_refused", "detail": "-1121 Invalid symbol.", "retryable": False}


def request(**fields: object) -> WorkflowRequest:
    return WorkflowRequest.model_validate({"type": "api_candles_1m", "time_range": "2024-08-01:2024-08-02", **fields})


names = st.text(alphabet="AbZ09_-é ", max_size=32) | st.sampled_from(["BTCUSDT", "btcusdt", "ETHUSDT", "MULTI", "all"])


@example(["all", "all"])
@given(st.lists(names, max_size=6))
def test_any_list_of_symbols_is_a_basket_or_refused_with_every_fault_named(symbols: list[str]) -> None:
    try:
        checked = check_request(request(symbols=symbols), NOW)
    except InvalidRequestError as exc:
        wrong = {error.pointer for error in exc.errors}
        assert wrong <= {"#/symbols", *(f"#/symbols/{at}" for at in range(len(symbols)))}
        assert wrong
        return
    basket = checked.options["symbols"]
    assert basket == [symbol.upper() for symbol in symbols]
    assert len(set(basket)) == len(basket) >= 2
    assert all(SYMBOL_PATTERN.fullmatch(symbol) and symbol not in ("MULTI", "ALL") for symbol in basket)
    workflow = new_workflow({}, checked, "abcdef", NOW)
    assert workflow.queue_id == "wf-multi-api_candles_1m-20240801-abcdef"
    assert COLLECTION_PATTERN.fullmatch(workflow.datasets[0].collection_name)
    assert (workflow.datasets[0].symbol, workflow.datasets[0].symbols) == ("MULTI", basket)


@pytest.mark.parametrize(
    ("fields", "pointer", "advice"),
    [
        ({}, "#/symbol", "nothing is asked for"),
        ({"symbol": "BTCUSDT", "symbols": ["BTCUSDT", "ETHUSDT"]}, "#/symbols", "not for both"),
        ({"symbols": ["BTCUSDT"]}, "#/symbols", "one is asked for in symbol"),
        ({"symbols": [f"S{number}" for number in range(1_001)]}, "#/symbols", "2 to 1,000 symbols, not 1,001"),
        ({"symbols": ["BTCUSDT", "ETHUSDT", "btcusdt"]}, "#/symbols/2", "BTCUSDT is listed already"),
        ({"symbols": ["BTCUSDT", "B"]}, "#/symbols/1", "not a symbol such as BTCUSDT"),
        ({"symbols": ["BTCUSDT", "ALL"]}, "#/symbols/1", "no single symbol"),
        ({"symbol": "MULTI"}, "#/symbol", "list its symbols in symbols"),
        ({"symbol": "ALL"}, "#/symbol", "binance um ws_mark_price; or list the symbols in symbols"),
        ({"symbol": "all", "type": "ws_trades", "time_range": ""}, "#/symbol", "binance um ws_liquidations"),
        (
            LIVE | {"type": "ws_trades", "symbols": [f"S{number}" for number in range(51)]},
            "#/symbols",
            "take 50 symbols",
        ),
        ({"symbols": ["BTCUSDT", "ETHUSDT"], "options": {"symbols": []}}, "#/options/symbols", "unknown option"),
    ],
)
def test_what_is_no_basket_is_refused_with_what_to_ask_for_instead(fields: dict, pointer: str, advice: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_request(request(**fields), NOW)
    [error] = caught.value.errors
    assert error.pointer == pointer
    assert advice in error.detail


def workflow_of(symbols: list[str], *reports: dict, data_type: str = "api_candles_1m") -> Workflow:
    """Lay out a workflow whose loader has told of its symbols in two events, the second of them read twice."""
    workflow = new_workflow({}, check_request(request(symbols=symbols, type=data_type), NOW), "abcdef", NOW)
    told = {"queue_id": workflow.queue_id, "producer": "loader-producer__abcdef", "attempt": 1, "timestamp": 0.0}
    for offset, part in ((0, reports[:2]), (1, reports[2:]), (1, reports[2:])):
        event = Event.model_validate({**told, "status": "loading", "symbols": part})
        note_event(workflow, event, 0, offset, NOW)
    workflow.status = WorkflowStatus.COMPLETED
    return workflow


class CountedEvidence(ArangoEvidence):
    """Counts how often it is asked about one symbol."""

    asked = 0

    async def count(self, *of):
        self.asked += 1
        return await super().count(*of)


async def store(database, workflow: Workflow, ids: dict[str, list[int]], field: str, time_of=lambda it: it) -> None:
    dataset = workflow.datasets[0]
    indexes = [
        {"type": "persistent", "name": name, "fields": ["exchange", "market", "symbol", "type", name]}
        for name in {field, "trade_time"}
    ]
    await ensure_collection(database, dataset.collection_name, indexes)
    kind = dataset.type.partition("_")[2]
    identity = {"exchange": "binance", "market": "spot", "type": kind}
    documents = [
        {**identity, "symbol": symbol, field: number, "trade_time": time_of(number)}
        for symbol, numbers in ids.items()
        for number in numbers
    ]
    database.collection(dataset.collection_name).import_bulk(documents)


def minutes(*spans: tuple[int, int]) -> list[int]:
    return [START_MS + minute * MINUTE_MS for first, end in spans for minute in range(first, end)]


async def test_every_symbol_is_judged_for_itself_and_the_dataset_is_their_sum(database) -> None:
    ends = {"first_id": START_MS, "last_id": START_MS + (DAY - 1) * MINUTE_MS, "is_loaded": True}
    gap = {"from": START_MS, "to": START_MS + 5 * MINUTE_MS, "missing": 5}
    symbols = ["WHOLEUSDT", "HOLEDUSDT", "LACKSUSDT", "DEADUSDT", "BADUSDT"]
    workflow = workflow_of(
        symbols,
        {"symbol": "WHOLEUSDT", **ends},
        {"symbol": "LACKSUSDT", **ends, "exchange_gaps": [gap]},
        {"symbol": "HOLEDUSDT", **ends},
        {"symbol": "DEADUSDT", "error": ERROR},
        {"symbol": "BADUSDT", **ends},
    )
    ids = {
        "WHOLEUSDT": minutes((-3, DAY + 3)),
        "HOLEDUSDT": minutes((5, 100), (101, DAY)),
        "LACKSUSDT": minutes((5, DAY)),
        "BADUSDT": minutes((0, DAY)),
    }
    await store(database, workflow, ids, "open_time")
    await ensure_collection(database, "rejected_records", [])
    refused = {"queue_id": workflow.queue_id, "topic": workflow.datasets[0].kafka_topic}
    database.collection("rejected_records").import_bulk([{**refused, "symbol": "BADUSDT"}, refused])

    report = await report_quality(workflow, ArangoEvidence(database))

    [dataset] = report.datasets
    found = {it.symbol: (it.verdict, it.expected, it.stored, it.missing, it.rejected) for it in dataset.symbols}
    assert found == {
        "WHOLEUSDT": (Verdict.COMPLETE, DAY, DAY, 0, 0),
        "HOLEDUSDT": (Verdict.INCOMPLETE, DAY, DAY - 6, 6, 0),
        "LACKSUSDT": (Verdict.COMPLETE, DAY, DAY - 5, 5, 0),
        "DEADUSDT": (Verdict.INCOMPLETE, None, 0, 0, 0),
        "BADUSDT": (Verdict.INCOMPLETE, DAY, DAY, 0, 1),
    }
    assert (dataset.expected, dataset.stored, dataset.missing) == (4 * DAY, 4 * DAY - 11, 11)
    assert (dataset.rejected, dataset.verdict, report.verdict) == (2, Verdict.INCOMPLETE, Verdict.INCOMPLETE)
    lacking = [(it.symbol, (it.start - START_MS) // MINUTE_MS, it.missing, it.cause) for it in dataset.gaps]
    assert lacking == [
        ("HOLEDUSDT", 0, 5, Cause.UNEXPLAINED),
        ("HOLEDUSDT", 100, 1, Cause.UNEXPLAINED),
        ("LACKSUSDT", 0, 5, Cause.EXCHANGE),
    ]
    shown = report.model_dump(mode="json", by_alias=True)["datasets"][0]
    assert shown["symbols"][3]["error"] == ERROR
    assert set(shown["symbols"][1]["gaps"][0]) == {"from", "to", "missing", "cause"}


async def test_a_repair_of_a_basket_loads_of_each_symbol_what_it_lacks(database) -> None:
    symbols = ["WHOLEUSDT", "HOLEDUSDT", "DEADUSDT", "NEVERUSDT"]
    ends = {"first_id": START_MS, "last_id": START_MS + (DAY - 1) * MINUTE_MS, "is_loaded": True}
    reports = [{"symbol": "WHOLEUSDT", **ends}, {"symbol": "HOLEDUSDT", **ends}, {"symbol": "DEADUSDT", "error": ERROR}]
    workflow = workflow_of(symbols, *reports)
    ids = {"WHOLEUSDT": minutes((0, DAY)), "HOLEDUSDT": minutes((0, 7), (9, DAY))}
    await store(database, workflow, ids, "open_time")

    missing = await find_missing(workflow, ArangoEvidence(database))
    repair(workflow, NOW, missing)

    told = workflow.tasks[0].repair
    hole = (START_MS + 7 * MINUTE_MS, START_MS + 9 * MINUTE_MS)
    assert told is not None
    assert (told.number, told.ranges) == (2, [])
    assert told.symbols == {"HOLEDUSDT": [hole], "NEVERUSDT": [(START_MS, START_MS + DAY * MINUTE_MS)]}
    of_trades = workflow_of(["AUSDT", "BUSDT"], data_type="api_agg_trades")
    with pytest.raises(NotPossibleError, match="nobody can say"):
        repair(of_trades, NOW, await find_missing(of_trades, ArangoEvidence(database)))


async def test_trades_of_a_basket_are_judged_by_the_ids_of_each_symbol(database) -> None:
    symbols = ["AUSDT", "BUSDT", "CUSDT", "DUSDT"]
    workflow = workflow_of(
        symbols,
        {"symbol": "AUSDT", "first_id": 10, "last_id": 19, "is_loaded": True},
        {"symbol": "BUSDT", "first_id": 5_000, "last_id": 5_009},
        {"symbol": "CUSDT", "is_loaded": True},
        data_type="api_agg_trades",
    )
    ids = {"AUSDT": [*range(8, 22)], "BUSDT": [5_000, 5_001, 5_009], "DUSDT": [1, 2]}
    await store(database, workflow, ids, "agg_trade_id", time_of=lambda _: START_MS)

    [dataset] = (await report_quality(workflow, ArangoEvidence(database))).datasets

    assert {it.symbol: (it.verdict, it.expected, it.stored, it.missing) for it in dataset.symbols} == {
        "AUSDT": (Verdict.COMPLETE, 10, 10, 0),
        "BUSDT": (Verdict.INCOMPLETE, 10, 3, 7),
        "CUSDT": (Verdict.COMPLETE, 0, 0, 0),
        "DUSDT": (Verdict.INCOMPLETE, None, 2, 0),
    }


async def test_a_thousand_symbols_are_counted_at_once_and_at_most_a_thousand_gaps_are_listed(database) -> None:
    symbols = [f"S{number}USDT" for number in range(1_000)]
    lacking = {"S3USDT": [*range(0, DAY, 2)], "S500USDT": [*range(0, DAY, 2)]}
    workflow = workflow_of(symbols)
    ids = {symbol: minutes(*((it, it + 1) for it in numbers)) for symbol, numbers in lacking.items()}
    await store(database, workflow, ids, "open_time")
    evidence = CountedEvidence(database)

    [dataset] = (await report_quality(workflow, evidence)).datasets

    assert evidence.asked == 0
    assert (dataset.expected, dataset.stored, dataset.gaps_total) == (1_000 * DAY, DAY, 998 + 2 * DAY // 2)
    assert len(dataset.gaps) == sum(len(it.gaps) for it in dataset.symbols) == 1_000


async def test_live_trades_of_a_basket_are_judged_symbol_by_symbol(database) -> None:
    asked = request(symbols=["AUSDT", "BUSDT", "DEADUSDT"], type="ws_trades", time_range="")
    workflow = new_workflow({}, check_request(asked, NOW), "abcdef", NOW)
    told = {"queue_id": workflow.queue_id, "producer": "loader-ws__abcdef", "attempt": 1, "timestamp": 0.0}
    gap = {"from": 12, "to": 13, "missing": 1, "symbol": "AUSDT"}
    symbols = [
        {"symbol": "AUSDT", "first_id": 10, "last_id": 14},
        {"symbol": "BUSDT", "first_id": 10, "last_id": 14},
        {"symbol": "DEADUSDT", "error": ERROR},
    ]
    event = {**told, "status": "loading", "symbols": symbols, "exchange_gaps": [gap]}
    note_event(workflow, Event.model_validate(event), 0, 0, NOW)
    workflow.status = WorkflowStatus.STOPPED
    ids = {"AUSDT": [10, 11, 13, 14], "BUSDT": [10, 11, 13, 14]}
    await store(database, workflow, ids, "trade_id", time_of=lambda _: START_MS)

    [judged] = (await report_quality(workflow, ArangoEvidence(database))).datasets

    assert {it.symbol: (it.verdict, it.expected, it.stored, it.missing) for it in judged.symbols} == {
        "AUSDT": (Verdict.COMPLETE, 5, 4, 1),
        "BUSDT": (Verdict.INCOMPLETE, 5, 4, 1),
        "DEADUSDT": (Verdict.INCOMPLETE, None, 0, 0),
    }


async def test_reconnects_of_a_live_basket_are_gaps_of_the_symbol_they_were_of(database) -> None:
    asked = request(symbols=["AUSDT", "BUSDT"], type="ws_book_ticker", time_range="")
    workflow = new_workflow({}, check_request(asked, NOW), "abcdef", NOW)
    told = {"queue_id": workflow.queue_id, "producer": "loader-ws__abcdef", "attempt": 1, "timestamp": 0.0}
    gaps = [{"from": START_MS, "to": START_MS + 500, "symbol": "BUSDT"}]
    note_event(workflow, Event.model_validate({**told, "status": "loading", "gaps": gaps}), 0, 0, NOW)
    workflow.status = WorkflowStatus.STOPPED

    [judged] = (await report_quality(workflow, ArangoEvidence(database))).datasets

    assert {it.symbol: (it.verdict, it.gaps_total) for it in judged.symbols} == {
        "AUSDT": (Verdict.UNPROVEN, 0),
        "BUSDT": (Verdict.UNPROVEN, 1),
    }
    assert (judged.verdict, judged.gaps_total, judged.gaps[0].symbol) == (Verdict.UNPROVEN, 1, "BUSDT")


async def test_of_all_symbols_it_is_counted_what_there_is_of_each_and_nothing_is_proven(database) -> None:
    asked = request(symbol="all", market="um", type="ws_mark_price", time_range="")
    workflow = new_workflow({}, check_request(asked, NOW), "abcdef", NOW)
    told = {"queue_id": workflow.queue_id, "producer": "loader-ws__abcdef", "attempt": 1, "timestamp": 0.0}
    reconnect = [{"from": START_MS, "to": START_MS + 500}]
    note_event(workflow, Event.model_validate({**told, "status": "loading", "gaps": reconnect}), 0, 0, NOW)
    workflow.status = WorkflowStatus.STOPPED
    dataset = workflow.datasets[0]
    fields = ["exchange", "market", "symbol", "type", "event_time"]
    await ensure_collection(database, dataset.collection_name, [{"type": "persistent", "name": "it", "fields": fields}])
    identity = {"exchange": "binance", "market": "um", "type": "mark_price"}
    numbers = {"AUSDT": 3, "BUSDT": 1, "ZUSDT": 2}
    documents = [{**identity, "symbol": it, "event_time": at} for it, number in numbers.items() for at in range(number)]
    documents += [{**identity, "symbol": "CUSDT", "type": "liquidations", "event_time": 1}]
    database.collection(dataset.collection_name).import_bulk(documents)

    [judged] = (await report_quality(workflow, ArangoEvidence(database))).datasets

    assert (workflow.queue_id[:21], dataset.collection_name[:21]) == ("wf-all-ws_mark_price-", "um_all_ws_mark_price_")
    assert {it.symbol: (it.verdict, it.expected, it.stored) for it in judged.symbols} == {
        symbol: (Verdict.UNPROVEN, None, number) for symbol, number in numbers.items()
    }
    assert (judged.verdict, judged.expected, judged.stored) == (Verdict.UNPROVEN, None, 6)
    assert [(it.symbol, it.start, it.end, it.missing) for it in judged.gaps] == [
        ("ALL", START_MS, START_MS + 500, None)
    ]
