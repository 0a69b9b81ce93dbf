from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streamforge_local.errors import PlatformError
from streamforge_local.exchange import Exchange, ExchangeKind, settle
from streamforge_local.home import Home
from streamforge_local.settings import Settings


@pytest.mark.parametrize("text", ["", "Live", "replay", "replay:", "live:x", "simulated:1", "mainnet"])
def test_what_is_no_exchange_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(PlatformError, match="expected auto, live, simulated or replay:PATH"):
        Exchange.parse(text, None)


def test_a_replay_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="there is no"):
        Exchange.parse(f"replay:{tmp_path}/missing", None)


def test_the_live_exchange_has_no_speed() -> None:
    with pytest.raises(PlatformError, match="keeps its own time"):
        Exchange.parse("live", 2.0)


def test_a_replay_is_told_its_files_and_its_speed(tmp_path: Path) -> None:
    assert Exchange.parse(f"replay:{tmp_path}", 0).simulator_options == ["--replay", str(tmp_path), "--speed", "0"]
    assert Exchange.parse("simulated", None).simulator_options == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (web.json_response({"serverTime": 1}), ExchangeKind.LIVE),
        (web.Response(text="<html>not from your country</html>"), ExchangeKind.SIMULATED),
        (web.json_response({"code": 0}, status=451), ExchangeKind.SIMULATED),
    ],
)
async def test_auto_is_live_only_when_the_exchange_answers_json(
    tmp_path: Path, answer: web.Response, kind: ExchangeKind
) -> None:
    async def time(_: web.Request) -> web.Response:
        return answer

    app = web.Application()
    app.router.add_get("/api/v3/time", time)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        settings = replace(Settings.from_environment(), binance_spot_rest_url=url)
        with Home.occupied(tmp_path) as home:
            chosen = await settle(Exchange.parse("auto", 5.0), settings, home)
    assert chosen.kind is kind
    assert chosen.because.startswith(url)
    assert chosen.speed == (None if kind is ExchangeKind.LIVE else 5.0)


async def test_auto_asks_by_the_proxy_that_the_environment_names(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"asked": request.headers["Host"]})

    app = web.Application()
    app.router.add_get("/api/v3/time", answer)
    async with TestServer(app) as proxy:
        settings = Settings.from_environment()
        inherited = {**settings.inherited, "http_proxy": str(proxy.make_url(""))}
        settings = replace(settings, binance_spot_rest_url="http://exchange.invalid", inherited=inherited)
        with Home.occupied(tmp_path) as home:
            chosen = await settle(Exchange.parse("auto", None), settings, home)
    assert chosen.kind is ExchangeKind.LIVE
