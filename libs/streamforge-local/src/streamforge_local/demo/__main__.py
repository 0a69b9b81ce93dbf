"""`python -m streamforge_local.demo` runs the demo; `make demo` calls it."""

from typing import Annotated

import typer

from streamforge_local.demo.story import tell


def main(
    exchange: Annotated[
        str, typer.Option(help="auto, live, simulated or replay:PATH; auto is live where Binance answers.")
    ] = "auto",
) -> None:
    """Load real candles end to end, prove that none is missing, and report. Exit code 0 only when that is so."""
    raise typer.Exit(tell(exchange))


if __name__ == "__main__":
    typer.run(main)
