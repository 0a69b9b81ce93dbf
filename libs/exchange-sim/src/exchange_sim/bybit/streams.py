"""Bybit's WebSocket protocol: public topics of one market at one path, and the ping that clients have to send.

Source: https://github.com/bybit-exchange/docs, v5 (2026-07). The wording of refusals is a guess.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import web

from exchange_sim.streaming.connection import Connection
from exchange_sim.streaming.feed import Topic
from exchange_sim.streaming.server import Rate, StreamRefusedError, StreamServer

CONNECTS: Final = Rate(500, 300.0)
_MOST_SPOT_ARGS: Final = 10
"""In one request; other markets have no such limit."""
_MOST_CHARACTERS: Final = 21_000
"""Of all topics of a connection."""
_TOPICS: Final = ("publicTrade.", "kline.", "orderbook.", "tickers.", "allLiquidation.")


class _Ask(msgspec.Struct):
    op: str
    args: list[str] = []
    req_id: str = ""


_ask_decoder = msgspec.json.Decoder(_Ask)


class BybitStreams:
    """The topics of one market; implements `Dialect`."""

    def __init__(self, market: str, server: StreamServer) -> None:
        self.market = market
        self._server = server

    def routes(self) -> list[web.RouteDef]:
        """The one path, e.g. `/v5/public/linear`."""
        return [web.get(f"/v5/public/{self.market.partition(':')[2]}", self._handle)]

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        return await self._server.handle(http, self, (), is_combined=False)

    def subscribe(self, connection: Connection, streams: Sequence[str]) -> None:
        """Subscribe to topics."""
        if self.market == "bybit:spot" and len(streams) > _MOST_SPOT_ARGS:
            raise StreamRefusedError(f"args size >{_MOST_SPOT_ARGS}")
        if sum(map(len, connection.streams.keys() | set(streams))) > _MOST_CHARACTERS:
            raise StreamRefusedError(f"args length >{_MOST_CHARACTERS}")
        unknown = next((stream for stream in streams if not stream.startswith(_TOPICS)), None)
        if unknown is not None:
            raise StreamRefusedError(f"Invalid topic: {unknown}")
        for stream in streams:
            self._server.hub.subscribe(connection, Topic(self.market, stream))

    def answer(self, connection: Connection, text: str | bytes) -> bytes:
        """Answer `subscribe`, `unsubscribe` and `ping`."""
        try:
            ask = _ask_decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.json.encode({"success": False, "ret_msg": "Invalid request", "op": ""})
        is_granted, told = True, ""
        try:
            told = self._do(connection, ask)
        except StreamRefusedError as exc:
            is_granted, told = False, exc.msg
        return msgspec.json.encode({"success": is_granted, "ret_msg": told, "req_id": ask.req_id, "op": ask.op})

    def _do(self, connection: Connection, ask: _Ask) -> str:
        match ask.op:
            case "subscribe":
                self.subscribe(connection, ask.args)
            case "unsubscribe":
                for stream in ask.args:
                    self._server.hub.unsubscribe(connection, Topic(self.market, stream))
            case "ping":
                return "pong"
            case _:
                raise StreamRefusedError(f"Invalid op: {ask.op}")
        return ""
