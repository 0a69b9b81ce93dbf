"""`python -m streamforge_local.exchange_probe URL` exits 0 if the URL answers 200 with JSON, else says why not.

It asks as loaders do (same library, proxy of the environment, no redirects), so that they reach what it has reached.
"""

import asyncio
import json
import sys

import aiohttp


def main() -> None:
    """Ask once."""
    url = sys.argv[1]
    try:
        asyncio.run(_ask(url))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        sys.exit(f"{url}: {error}")


async def _ask(url: str) -> None:
    async with (
        aiohttp.ClientSession(trust_env=True) as http,
        http.get(url, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        json.loads(await answer.read())


if __name__ == "__main__":
    main()
