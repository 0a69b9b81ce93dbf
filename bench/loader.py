"""How near the loader comes to a bare producer of the same bytes."""

from pathlib import Path

from bench import stage
from bench.loader_sides import Given
from bench.market import fetch_pages, save_pages
from bench.results import Figure, Section
from bench.rounds import run_rounds
from bench.sides import run_side

_HOW = (
    "Pages of 1,000 minute candles, as the exchange answers them, from memory to the broker's acknowledgement, "
    "each side in a fresh process. **loader**: `Loading.load` with the loader's own exchange client and writer: "
    "parse, judge, encode, batch, publish. **bare**: confluent-kafka's `Producer` with delivery callbacks, "
    "sending the same keys and values from memory; once as they are, once with the header that the loader adds. "
    "Both acks=all, idempotent, zstd. CPU is that of the client's process, all threads."
)


def sections(folder: Path, quick: bool) -> list[Section]:
    """Measure it."""
    pages, rounds = (60, 3) if quick else (300, 7)
    path = folder / "pages"
    with stage.exchange(folder) as exchange:
        save_pages(fetch_pages(exchange.url, pages), path)
    with stage.broker(folder) as bootstrap_servers:
        given = Given(bootstrap_servers, str(path))
        told = run_rounds(
            {
                side: lambda side=side: run_side("bench.loader_sides", side, given)  # type: ignore[misc]
                for side in ("loader", "bare", "bare_with_header")
            },
            rounds,
        )
    cpu, wall = "records_per_cpu_s", "records_per_s"
    figures = [
        Figure("**loader / bare, CPU**", told.ratio("loader", "bare", cpu), at_least=0.45),
        Figure("loader / bare with the header, CPU", told.ratio("loader", "bare_with_header", cpu)),
        Figure("loader / bare, wall time", told.ratio("loader", "bare", wall)),
        Figure("loader", told.value("loader", cpu), "records per CPU second"),
        Figure("bare", told.value("bare", cpu), "records per CPU second"),
        Figure("loader", told.value("loader", wall), "records/s"),
        Figure("bare", told.value("bare", wall), "records/s"),
    ]
    return [Section("Loader: response bytes to acknowledgement", _HOW, figures)]
