"""Asking an exchange through the proxy that the environment names, and saying why it is asked again."""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from streamforge_common.errors import FatalError
from streamforge_common.exchanges import binance, binance_um, bybit
from streamforge_common.history.client import ExchangeClient
from streamforge_local.testing import exchange_served

EXCHANGE = "http://exchange.invalid"


@asynccontextmanager
async def proxy(answers):
    """Serve as a proxy that answers by itself; `answers` are given in order, the last one stays."""
    asked = []

    async def answer(request):
        asked.append(request.headers["Host"])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/"), asked


async def test_the_proxy_that_the_environment_names_is_used(monkeypatch):
    async with proxy([web.json_response({"serverTime": 1_722_470_400_000})]) as (url, asked):
        monkeypatch.setenv("http_proxy", url)
        async with ExchangeClient(binance.SPOT, EXCHANGE, attempts=1) as exchange:
            assert await exchange.learn_time() == 1_722_470_400_000
    assert asked == ["exchange.invalid"]


async def test_hosts_for_which_no_proxy_is_wanted_are_asked_directly(monkeypatch):
    async with proxy([web.json_response({"serverTime": 1})]) as (url, _):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with ExchangeClient(binance.SPOT, url, attempts=1) as exchange:
            assert await exchange.learn_time() == 1


async def test_what_is_answered_of_all_symbols_at_once_is_asked_for_once():
    unreadable, listed = web.Response(text="<html>"), web.json_response({"symbols": [{"symbol": "BTCUSDT"}]})
    async with (
        proxy([unreadable, listed]) as (url, asked),
        ExchangeClient(binance_um.UM, url, attempts=2) as exchange,
    ):
        await exchange.learn_limits("BTCUSDT")
        with pytest.raises(FatalError, match="'NOSUCHUSDT' is not listed"):
            await exchange.learn_limits("NOSUCHUSDT")
        await exchange.learn_limits("BTCUSDT")
    assert len(asked) == 2


async def test_trouble_is_told_until_the_exchange_answers():
    async with (
        proxy([web.Response(status=502), web.json_response({"serverTime": 1})]) as (url, _),
        ExchangeClient(binance.SPOT, url, attempts=1) as exchange,
    ):
        with pytest.raises(FatalError, match="gave up after 1 attempts"):
            await exchange.learn_time()
        assert exchange.trouble == "binance answered /api/v3/time with status 502"
        await exchange.learn_time()
        assert exchange.trouble == ""


@pytest.mark.parametrize(
    ("status", "wait_s", "tells"), [(418, 2, True), (429, 60, True), (429, None, True), (429, 2, False)]
)
async def test_others_are_told_of_a_ban_and_of_a_long_wait_only(status, wait_s, tells):
    headers = {} if wait_s is None else {"Retry-After": str(wait_s)}
    async with (
        proxy([web.Response(status=status, headers=headers)]) as (url, _),
        ExchangeClient(binance.SPOT, url, attempts=1) as exchange,
    ):
        with pytest.raises(FatalError):
            await exchange.learn_time()
        assert exchange.closed_for_s > 1
        assert exchange._ban.is_set() == tells


def envelope(code, message):
    return web.json_response({"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": 1})


async def test_a_refusal_with_status_200_is_the_final_word():
    async with (
        proxy([envelope(10001, "params error: symbol invalid")]) as (url, asked),
        ExchangeClient(bybit.LINEAR, url, attempts=3) as exchange,
    ):
        with pytest.raises(FatalError, match="10001 params error: symbol invalid") as refused:
            await exchange.learn_limits("BTCUSDT")
        assert refused.value.code == "exchange_refused"
        assert len(asked) == 1


async def test_loaders_that_share_a_limit_that_nobody_counts_use_it_and_are_never_refused():
    """Bybit's 600 in five seconds, by whoever; the first request too many is a ban."""
    answered = 0

    async def ask_on(exchange):
        nonlocal answered
        while True:
            await exchange.learn_time()
            answered += 1

    async with exchange_served() as url, AsyncExitStack() as stack:
        with suppress(TimeoutError):
            async with asyncio.timeout(8), asyncio.TaskGroup() as group:
                for _ in range(4):
                    client = ExchangeClient(bybit.SPOT, url, attempts=1, share=lambda _: 0.25)
                    exchange = await stack.enter_async_context(client)
                    for _ in range(3):
                        group.create_task(ask_on(exchange))
        async with ClientSession() as session, session.get(f"{url}/_sim/requests") as journal:
            statuses = Counter(json.loads(line)["status"] for line in (await journal.text()).splitlines())
    assert set(statuses) <= {200, None}
    # Three windows may have begun. How much of them is used is a question of the machine.
    assert 0 < answered <= 3 * 600


@pytest.mark.parametrize(
    ("answer", "waits_s", "tells"),
    [
        (lambda: envelope(10006, "Too many visits!"), (0, 5), False),
        (lambda: web.Response(status=403, text="access too frequent"), (590, 600), True),
        (lambda: envelope(10016, "Internal System Error"), (-1, 0), False),
    ],
)
async def test_bybits_limits_close_the_gate_for_as_long_as_it_says(answer, waits_s, tells):
    async with (
        proxy([answer()]) as (url, _),
        ExchangeClient(bybit.SPOT, url, attempts=1) as exchange,
    ):
        with pytest.raises(FatalError, match="gave up after 1 attempts"):
            await exchange.learn_time()
        assert waits_s[0] < exchange.closed_for_s <= waits_s[1]
        assert exchange._ban.is_set() == tells
