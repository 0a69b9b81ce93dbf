"""The book against a straightforward reconstruction: it is the true one, or it is not there."""

import gzip
import heapq
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader_ws.app.book import Book, BookState
from streamforge_common.contract.kinds import RecordCheck, record_kind
from streamforge_common.contract.records import Depth, DepthSnapshot
from streamforge_common.exchanges import REST_MARKETS, STREAM_MARKETS
from streamforge_common.exchanges.streams import Pushed

SHARED = Path(__file__).parents[4] / "shared/data"
MARKETS = [("binance", "spot"), ("binance", "um"), ("bybit", "linear")]
LEVELS = 3
Levels = dict[float, float]
Sides = tuple[Levels, Levels]


def change(book: Sides, bids: Iterable[Sequence[object]], asks: Iterable[Sequence[object]]) -> None:
    """Apply a difference in the plainest way there is."""
    for side, levels in zip(book, (bids, asks), strict=True):
        for price, quantity in levels:
            side[float(str(price))] = float(str(quantity))
            if not side[float(str(price))]:
                del side[float(str(price))]


def top(book: Sides, levels: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    bids, asks = book
    return heapq.nlargest(levels, bids.items()), heapq.nsmallest(levels, asks.items())


@dataclass(frozen=True)
class Step:
    """One message of a stream, and the true book behind it."""

    difference: Depth
    after: Sides


def difference(exchange: str, market: str, number: int, bids: Levels, asks: Levels, *, is_whole: bool = False) -> Depth:
    """Number updates as the exchange does: ten in a message of Binance, one of Bybit; futures leave some out."""
    last = number * 10 if exchange == "binance" else number
    first = {"spot": last - 9, "um": last - 5}.get(market)
    return Depth(
        key=f"{exchange}:{market}:X:depth:{last}",
        exchange=exchange,
        market=market,
        symbol="X",
        type="depth",
        event_time=number * 100,
        first_update_id=msgspec.UNSET if first is None else first,
        last_update_id=last,
        previous_update_id=last - 10 if market == "um" else msgspec.UNSET,
        is_snapshot=True if is_whole else msgspec.UNSET,
        bids=sorted(bids.items(), reverse=True),
        asks=sorted(asks.items()),
    )


def of_plain(update_id: int, book: Sides, limit: int = 1_000) -> DepthSnapshot:
    bids, asks = top(book, limit)
    identity = {"exchange": "binance", "market": "spot", "symbol": "X", "type": "depth_snapshot", "key": "X"}
    return DepthSnapshot(**identity, update_id=update_id, limit=limit, bids=bids, asks=asks, receipt_time=0)


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, str, list[Step]]:
    """A market whose middle wanders: bids are below it, asks above it, at every moment."""
    exchange, market = draw(st.sampled_from(MARKETS))
    book: Sides = ({}, {})
    steps = []
    middle = 50
    for number in range(1, draw(st.integers(5, 25)) + 1):
        middle += draw(st.integers(-2, 2))
        quantity = st.sampled_from([0.0, 1.0, 2.5])
        bids = {p: 0.0 for p in book[0] if p >= middle}
        bids |= draw(st.dictionaries(st.integers(middle - 8, middle - 1).map(float), quantity, max_size=4))
        asks = {p: 0.0 for p in book[1] if p <= middle}
        asks |= draw(st.dictionaries(st.integers(middle + 1, middle + 8).map(float), quantity, max_size=4))
        after = ({**book[0]}, {**book[1]})
        change(after, bids.items(), asks.items())
        whole = exchange == "bybit" and number == 1
        steps.append(Step(difference(exchange, market, number, bids, asks, is_whole=whole), after))
        book = after
    return exchange, market, steps


@st.composite
def deliveries(draw: st.DrawFn, steps: Sequence[Step]) -> list[Step]:
    """The same messages, some lost, some twice, some behind the next one."""
    delivered: list[Step] = []
    for step in steps:
        match draw(st.sampled_from(["whole", "whole", "whole", "lost", "twice", "late"])):
            case "whole":
                delivered.append(step)
            case "twice":
                delivered += [step, step]
            case "late":
                delivered.insert(max(0, len(delivered) - 1), step)
    return delivered


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_book_is_the_true_one_or_there_is_none(data: st.DataObject) -> None:
    exchange, market, steps = data.draw(histories())
    rules = STREAM_MARKETS[exchange, market].streams["depth"].book
    assert rules is not None
    book = Book(rules, LEVELS)
    true = {step.difference.last_update_id: step.after for step in steps}
    for step in data.draw(deliveries(steps)):
        if book.wants_snapshot and data.draw(st.booleans()):
            at = data.draw(st.sampled_from(steps))
            # Of a book of some levels only, so that others are not known.
            book.take_snapshot(
                of_plain(at.difference.last_update_id, at.after, data.draw(st.sampled_from([4, 6, 1_000])))
            )
        is_right = book.take(step.difference)
        assert is_right <= (book.state is BookState.SYNCHRONISED)
        if book.state is BookState.SYNCHRONISED:
            assert book.top() == top(true[book.update_id], LEVELS)
        if book.state is BookState.LOST:
            assert not is_right


@settings(max_examples=50, deadline=None)
@given(histories())
def test_a_book_whose_messages_all_come_is_there_from_its_snapshot_on(history: tuple[str, str, list[Step]]) -> None:
    exchange, market, steps = history
    rules = STREAM_MARKETS[exchange, market].streams["depth"].book
    assert rules is not None
    book = Book(rules, LEVELS)
    for number, step in enumerate(steps):
        is_right = book.take(step.difference)
        if number == 1 and book.wants_snapshot:
            book.take_snapshot(of_plain(steps[1].difference.last_update_id, steps[1].after))
        assert is_right or (exchange == "binance" and number < 2)
    assert book.losses == 0


def test_a_crossed_book_is_lost_and_nothing_of_it_is_kept() -> None:
    rules = STREAM_MARKETS["bybit", "spot"].streams["depth"].book
    assert rules is not None
    book = Book(rules, LEVELS)
    assert book.take(difference("bybit", "spot", 1, {10.0: 1.0}, {11.0: 1.0}, is_whole=True))
    assert not book.take(difference("bybit", "spot", 2, {11.0: 1.0}, {}))
    assert (book.state, book.losses, book.lost_since_ms) == (BookState.LOST, 1, 100)
    assert not book.take(difference("bybit", "spot", 3, {}, {}))
    assert book.take(difference("bybit", "spot", 9, {10.0: 1.0}, {11.0: 1.0}, is_whole=True))


def test_ids_that_begin_anew_lose_the_book_also_where_the_restart_itself_was_missed() -> None:
    rules = STREAM_MARKETS["bybit", "spot"].streams["depth"].book
    assert rules is not None
    book = Book(rules, LEVELS)
    book.take(difference("bybit", "spot", 900, {10.0: 1.0}, {11.0: 1.0}, is_whole=True))
    restarted = msgspec.structs.replace(difference("bybit", "spot", 5, {9.0: 1.0}, {12.0: 1.0}), event_time=100_000)
    assert not book.take(restarted)
    assert book.state is BookState.LOST
    assert book.take(msgspec.structs.replace(restarted, is_snapshot=True))
    assert book.top() == ([(9.0, 1.0)], [(12.0, 1.0)])


def test_differences_that_wait_for_a_snapshot_in_vain_are_given_up_aloud() -> None:
    rules = STREAM_MARKETS["binance", "spot"].streams["depth"].book
    assert rules is not None
    book = Book(rules, LEVELS)
    for number in range(1, 2_002):
        book.take(difference("binance", "spot", number, {10.0: 1.0}, {11.0: 1.0}))
    assert (book.losses, book.wants_snapshot) == (1, True)
    assert "none of them leads on" in book.trouble


def test_a_book_that_comes_near_to_what_is_not_known_is_renewed_without_being_lost() -> None:
    rules = STREAM_MARKETS["binance", "spot"].streams["depth"].book
    assert rules is not None
    book = Book(rules, LEVELS)
    plain: Sides = ({float(price): 1.0 for price in range(1, 101)}, {1_000.0: 1.0})
    book.take(difference("binance", "spot", 1, {}, {}))
    book.take_snapshot(of_plain(10, plain, 10))
    renewed = 0
    for number in range(2, 60):
        bids = {102.0 - number: 0.0}
        change(plain, bids.items(), ())
        assert book.take(difference("binance", "spot", number, bids, {}))
        assert book.top() == top(plain, LEVELS)
        if book.wants_snapshot:
            renewed += 1
            book.take_snapshot(of_plain(number * 10, plain, 10))
    assert (book.losses, renewed > 5) == (0, True)


def test_a_snapshot_that_no_difference_reaches_is_given_up_too() -> None:
    rules = STREAM_MARKETS["binance", "spot"].streams["depth"].book
    assert rules is not None
    book = Book(rules, LEVELS)
    book.take(difference("binance", "spot", 1, {}, {}))
    book.take_snapshot(of_plain(1_000_000, ({10.0: 1.0}, {11.0: 1.0})))
    for number in range(2, 2_002):
        assert not book.take(difference("binance", "spot", number, {}, {}))
    assert (book.losses, book.wants_snapshot) == (1, True)


# What recorded connections prove.

CAPTURES = [
    (("binance-ws-2024-08/btcusdt_20240808.gz", "binance-ws-2024-08/btcusdt_20240809.gz"), "binance", "spot", 6_495),
    (("binance-ws-2024-08/usdm_btcusdt_20240808.gz",), "binance", "um", 6_551),
    (("binance-ws-2021-10/binance_spot.jsonl.gz",), "binance", "spot", 177),
    (("binance-ws-2021-10/binance_us.jsonl.gz",), "binance", "spot", 336),
    (("bybit-ws-2026-08/bybit_v5.jsonl.gz",), "bybit", "linear", 718),
]


def lines_of(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Read frames, and the answers to requests for a snapshot with the symbol that was asked for."""
    for name in names:
        path = SHARED / name
        if not path.exists():
            pytest.skip("the recorded connections in ../shared/data are not here")
        with gzip.open(path, "rt") as lines:
            for line in lines:
                if line.startswith("{"):
                    kept = json.loads(line)
                    if kept["t"] == "recv":
                        yield "", kept["data"]
                    elif "/depth?" in kept.get("url", ""):
                        yield kept["url"].partition("symbol=")[2].partition("&")[0], kept["data"]
                else:
                    text = line.partition(" ")[2]
                    yield "" if text.startswith('{"stream"') else "BTCUSDT", text


@pytest.mark.parametrize(("names", "exchange", "market", "count"), CAPTURES, ids=lambda it: str(it)[:40])
def test_every_recorded_book_is_what_plain_arithmetic_makes_of_it_at_every_step(
    names: Sequence[str], exchange: str, market: str, count: int
) -> None:
    pushing, asking = STREAM_MARKETS[exchange, market], REST_MARKETS[exchange, market]
    snapshots: dict[str, tuple[DepthSnapshot, dict[str, Any]]] = {}
    differences: dict[str, list[tuple[Depth, dict[str, Any]]]] = defaultdict(list)
    for asked, text in lines_of(names):
        if asked:
            found = asking.polls["depth_snapshot"].parse(text.encode(), asked, 1_000, 0)
            assert isinstance(found, DepthSnapshot)
            snapshots[asked] = found, json.loads(text)
        elif '"depthUpdate"' in text or '"orderbook.' in text:
            incoming = pushing.read(text.encode())
            frame = json.loads(text)["data"]
            assert isinstance(incoming, Pushed)
            (record,) = pushing.streams["depth"].parse(incoming.message, frame["s"], 0).records
            assert isinstance(record, Depth)
            differences[frame["s"]].append((record, frame))

    assert sum(map(len, differences.values())) == count
    compared = sum(follow(exchange, market, them, snapshots.get(symbol)) for symbol, them in differences.items())
    assert compared > count * 0.9


def follow(
    exchange: str,
    market: str,
    differences: Sequence[tuple[Depth, dict[str, Any]]],
    snapshot: tuple[DepthSnapshot, dict[str, Any]] | None,
) -> int:
    """Compare the book with a plain one after each difference, and return how often there was one."""
    rules = STREAM_MARKETS[exchange, market].streams["depth"].book
    assert rules is not None
    book, compared = Book(rules, 20), 0
    plain: Sides = ({}, {})
    check = RecordCheck(exchange, market, differences[0][0].symbol, record_kind("depth")).check
    if snapshot is not None:
        record, body = snapshot
        assert (record.bids, record.asks) == tuple(
            [(float(price), float(quantity)) for price, quantity in body[side]] for side in ("bids", "asks")
        )
        change(plain, body["bids"], body["asks"])
    for difference, frame in differences:
        assert check(msgspec.json.encode(difference)) == difference
        assert dict(difference.bids) == {float(price): float(quantity) for price, quantity in frame["b"]}
        assert dict(difference.asks) == {float(price): float(quantity) for price, quantity in frame["a"]}
        if snapshot is None or frame["u"] > snapshot[1]["lastUpdateId"]:
            change(plain, frame["b"], frame["a"])
        book.take(difference)
        if snapshot is not None and book.wants_snapshot:
            # Of what lies behind the thousand levels of the recorded snapshot nothing is known; asked again, the
            # exchange would answer with the book as it is.
            is_first = book.state is not BookState.SYNCHRONISED
            book.take_snapshot(snapshot[0] if is_first else of_plain(difference.last_update_id, plain, 1_000))
        if book.state is BookState.SYNCHRONISED:
            compared += 1
            bids, asks = book.top()
            assert (bids, asks) == top(plain, 20)
            assert bids[0][0] < asks[0][0]
    assert book.losses == 0, book.trouble
    return compared
