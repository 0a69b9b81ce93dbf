"""`python -m streamforge_local.demo` runs the demo; `make demo` calls it.

Ctrl-C and SIGTERM are answered from the first moment on, with exit code 128 + the signal's number, as shells have it:
at once during the slow imports, when nothing is started yet; later by unwinding, so that every block on the way ends
what it started.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Annotated, NoReturn

from streamforge_local.stop_signals import end_line_of


def main() -> None:
    """Run the demo."""
    _on_signals(_leave_at_once)
    import typer

    from streamforge_local.demo.story import tell
    from streamforge_local.errors import PlatformError
    from streamforge_local.exchange import Exchange

    def demo(
        exchange: Annotated[
            str, typer.Option(help="auto, live, simulated or replay:PATH; auto is live where Binance answers.")
        ] = "auto",
    ) -> None:
        """Load candles end to end, prove that none is missing, and report. Exit code 0 only when that is so."""
        try:
            Exchange.parse(exchange, speed=None)
        except PlatformError as exc:
            typer.echo(f"error: {exc}", err=True)
            raise typer.Exit(2) from exc
        raise typer.Exit(tell(exchange))

    _on_signals(_unwind)
    typer.run(demo)


def _on_signals(handler: Callable[[int, FrameType | None], NoReturn]) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, handler)


def _leave_at_once(signum: int, _frame: FrameType | None) -> NoReturn:
    # Python 3.11 turns what is raised while a class is being made into a RuntimeError with a traceback.
    os._exit(128 + signum)


def _unwind(signum: int, _frame: FrameType | None) -> NoReturn:
    end_line_of(signum)
    sys.exit(128 + signum)


if __name__ == "__main__":
    main()
