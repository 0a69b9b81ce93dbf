"""The command line: `arangolite serve`."""

import argparse
import asyncio
import gc
import logging
import os
import sys
from pathlib import Path

from arangolite.errors import StartupError
from arangolite.server import Settings, serve_until_signal

DEFAULT_PORT = 8529
"""ArangoDB's."""
_OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""Documents have no cycles: looking for some after each 700 objects is a sixth of an import's CPU time, measured."""


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        asyncio.run(serve_until_signal(_settings(), _announce))
    except StartupError as exc:
        sys.exit(f"arangolite: {exc}")


def _announce(url: str) -> None:
    sys.stdout.write(f"arangolite listens on {url}\n")
    sys.stdout.flush()


def _settings() -> Settings:
    environment = os.environ  # noqa: TID251 - the entry module is where settings are read
    parser = argparse.ArgumentParser(
        prog="arangolite", description="An embedded database that speaks ArangoDB's HTTP API."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    serve = commands.add_parser("serve", help="run the server")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        help="port to listen on, 0 = a free one, which is printed (default: %(default)s)",
    )
    serve.add_argument("--data-dir", type=Path, required=True, help="folder of the databases; made when absent")
    serve.add_argument(
        "--root-password",
        default=environment.get("ARANGO_ROOT_PASSWORD", ""),
        help="password of root (or ARANGO_ROOT_PASSWORD)",
    )
    serve.add_argument(
        "--jwt-secret",
        default=environment.get("ARANGO_JWT_SECRET", ""),
        help="what tokens are signed with (or ARANGO_JWT_SECRET)",
    )
    serve.add_argument("--faults", action="store_true", help="let /_lite/faults make the server misbehave, for trials")
    given = parser.parse_args()
    return Settings(given.data_dir, given.host, given.port, given.root_password, given.jwt_secret, given.faults)


if __name__ == "__main__":
    main()
