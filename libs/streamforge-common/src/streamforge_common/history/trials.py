"""Trying again what can be over later: the one place where a request is repeated."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import stamina

from streamforge_common.errors import FatalError, TransientError

_WAIT_FIRST_S, _WAIT_MAX_S, _WAIT_JITTER_S = 0.25, 15.0, 0.5

Result = TypeVar("Result")


class Trials:
    """Repeats what fails for the moment."""

    def __init__(self, attempts: int | None) -> None:
        """Prepare for any number of calls.

        Args:
            attempts: How often one call is made before the other side counts as lost; None: it never does.
        """
        self.trouble = ""
        """Why the latest call is made again; empty where it has succeeded."""
        self._attempts = attempts

    async def run(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Return what a call returns.

        Raises:
            FatalError: It raised TransientError however often it was made (`exchange_lost`).
        """
        try:
            async for attempt in stamina.retry_context(
                on=TransientError,
                attempts=self._attempts,
                timeout=None,
                wait_initial=_WAIT_FIRST_S,
                wait_max=_WAIT_MAX_S,
                wait_jitter=_WAIT_JITTER_S,
            ):
                with attempt, self._noting_trouble():
                    return await call()
        except TransientError as exc:
            raise FatalError(f"gave up after {self._attempts} attempts: {exc}", code="exchange_lost") from exc
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        try:
            yield
        except TransientError as exc:
            self.trouble = str(exc)
            raise
        self.trouble = ""
