"""Whether broker and database are there: a job that fails while one is away has not failed by itself."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from streamforge_local.ports import accepts_connections

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


class Neighbours:
    """The broker, of which one server is enough, and the database."""

    def __init__(self, kafka_bootstrap_servers: str, arango_url: str) -> None:
        """Make nothing but addresses.

        Args:
            kafka_bootstrap_servers: Comma-separated `host:port`.
            arango_url: Base URL of the database.
        """
        self._brokers = [_address(f"kafka://{server.strip()}") for server in kafka_bootstrap_servers.split(",")]
        self._database = _address(arango_url)

    async def are_there(self) -> bool:
        """Say whether both take connections now."""
        return await _any_listens(self._brokers) and await _any_listens([self._database])


def _address(url: str) -> Address:
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme])


async def _any_listens(addresses: Sequence[Address]) -> bool:
    return any(await asyncio.gather(*(asyncio.to_thread(accepts_connections, *each) for each in addresses)))
