"""The exchange alone: pages asked for as the loader does, some at once, and thrown away."""

import asyncio
from collections.abc import Mapping
from time import perf_counter

import aiohttp
import msgspec

from bench.market import page_request
from bench.sides import be_a_side

_IN_FLIGHT = 4
"""As many as the loader has under way."""


class Given(msgspec.Struct):
    """What the side needs to know."""

    exchange_url: str
    pages: int


async def _ask(given: Given) -> Mapping[str, float]:
    rows, numbers = 0, iter(range(given.pages))

    async def ask_in_turn(session: aiohttp.ClientSession) -> None:
        nonlocal rows
        for number in numbers:
            request = page_request(number)
            async with session.get(given.exchange_url + request.path, params=request.params) as response:
                body = await response.read()
            assert response.status == 200, body
            rows += body.count(b"],[") + 1

    async with aiohttp.ClientSession() as session:
        began_s = perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(_IN_FLIGHT):
                group.create_task(ask_in_turn(session))
        wall_s = perf_counter() - began_s
    return {"records": rows, "records_per_s": rows / wall_s}


if __name__ == "__main__":
    be_a_side({"exchange": _ask}, Given)
