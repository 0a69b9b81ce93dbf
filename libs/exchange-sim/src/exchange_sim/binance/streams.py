"""Binance's WebSocket protocol: raw and combined streams, subscriptions, and who is sent away.

Source: https://github.com/binance/binance-spot-api-docs, web-socket-streams.md (2026-07). The wording of refusals is
that of its table of errors; how many too many messages it takes to be cut off is not published.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from exchange_sim.streaming.connection import Connection
from exchange_sim.streaming.feed import Topic
from exchange_sim.streaming.server import Rate, StreamRefusedError, StreamServer

CONNECTS: Final = Rate(300, 300.0)
MESSAGES: Final = Rate(5, 1.0)
_MOST_STREAMS: Final = 1_024


class _Ask(msgspec.Struct):
    method: str
    params: list[str] = []
    id: int | str | None = None


_ask_decoder = msgspec.json.Decoder(_Ask)


class BinanceStreams:
    """The streams of one market, below one or more roots; implements `Dialect`."""

    def __init__(self, market: str, server: StreamServer) -> None:
        self.market = market
        self._server = server

    def routes(self, roots: Sequence[str]) -> list[web.RouteDef]:
        """The paths: `/ws` and `/ws/<stream>/…` for raw messages, `/stream?streams=…` for combined ones."""
        return [
            web.get(f"{root}{path}", self._handle) for root in roots for path in ("/ws", "/ws/{streams:.+}", "/stream")
        ]

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        is_combined = http.path.endswith("/stream")
        names = http.query.get("streams", "") if is_combined else http.match_info.get("streams", "")
        streams = [name for name in names.split("/") if name]
        return await self._server.handle(http, self, streams, is_combined=is_combined)

    def subscribe(self, connection: Connection, streams: Sequence[str]) -> None:
        """Subscribe to streams; those that there are not are granted too, and never send anything."""
        if len(connection.streams.keys() | set(streams)) > _MOST_STREAMS:
            raise StreamRefusedError(f"Invalid request: more than {_MOST_STREAMS} streams on one connection", 2)
        for stream in streams:
            self._server.hub.subscribe(connection, Topic(self.market, stream))

    def answer(self, connection: Connection, text: str | bytes) -> bytes:
        """Answer `SUBSCRIBE`, `UNSUBSCRIBE` and `LIST_SUBSCRIPTIONS`."""
        return msgspec.json.encode(self._answer(connection, text))

    def _answer(self, connection: Connection, text: str | bytes) -> dict[str, Any]:
        try:
            ask = _ask_decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            return {"error": {"code": 3, "msg": f"Invalid JSON: {exc}"}, "id": None}
        try:
            return {"result": self._do(connection, ask), "id": ask.id}
        except StreamRefusedError as exc:
            return {"error": {"code": exc.code, "msg": exc.msg}, "id": ask.id}

    def _do(self, connection: Connection, ask: _Ask) -> list[str] | None:
        match ask.method:
            case "SUBSCRIBE":
                self.subscribe(connection, ask.params)
            case "UNSUBSCRIBE":
                for stream in ask.params:
                    self._server.hub.unsubscribe(connection, Topic(self.market, stream))
            case "LIST_SUBSCRIPTIONS":
                return list(connection.streams)
            case _:
                raise StreamRefusedError(f"Invalid request: unknown variant `{ask.method}`", 2)
        return None
