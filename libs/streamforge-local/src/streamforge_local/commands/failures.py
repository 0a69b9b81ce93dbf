"""How a command ends that could not do what it was asked: lines on stderr and an exit code."""

import functools
from collections.abc import Callable
from typing import ParamSpec

import typer

from streamforge_local.client.errors import InvalidRequestError
from streamforge_local.errors import PlatformError

FAILED = 1
WRONG_USE = 2
"""As for an option that does not exist: what was typed has to change."""
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

Parameters = ParamSpec("Parameters")


def fails_readably(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Let a command's foreseen failures be read: one line per fault on stderr, no traceback."""

    @functools.wraps(command)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except PlatformError as exc:
            for line in str(exc).splitlines():
                typer.echo(f"error: {line}", err=True)
            raise typer.Exit(WRONG_USE if isinstance(exc, InvalidRequestError) else FAILED) from exc
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return wrapped
