"""The demo from its first line to its last: platform, workflows, progress, proof, report, end."""

import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from streamforge_local.client.api import QueueManager
from streamforge_local.client.documents import Workflow
from streamforge_local.client.following import follow
from streamforge_local.commands.output import screen
from streamforge_local.commands.progress import show_progress
from streamforge_local.commands.verdict import COMPLETE
from streamforge_local.demo.choice import Choice, choose, choose_trades
from streamforge_local.demo.cross_check import cross_check
from streamforge_local.demo.platform_process import PlatformProcess
from streamforge_local.demo.proof import Database, prove
from streamforge_local.demo.report import ExchangeUsed, Loaded, Sample, Times, print_report
from streamforge_local.errors import PlatformError
from streamforge_local.home import PlatformInfo


def tell(exchange: str) -> int:
    """Run the demo on a temporary home, which is kept when something went wrong.

    Args:
        exchange: As `--exchange` takes it.

    Returns:
        The exit code: 0 when the workflow completed and nothing is missing.

    Raises:
        SystemExit: A signal asked for the end.
    """
    console = screen(piped_width=100)
    home = Path(tempfile.mkdtemp(prefix="streamforge-demo-"))
    try:
        is_complete = _run(console, home, exchange)
    except PlatformError as exc:
        console.print(f"error: {exc}", style="bold red", soft_wrap=True)
        is_complete = False
    except SystemExit:
        shutil.rmtree(home)
        console.print("Interrupted. Everything is stopped, and nothing is left behind.")
        raise
    if not is_complete:
        console.print(f"The demo failed. Everything is stopped; its logs are in {home / 'logs'}", soft_wrap=True)
        return 1
    shutil.rmtree(home)
    console.print("Everything is stopped, and nothing is left behind.", style="dim")
    return 0


def _run(console: Console, home: Path, exchange: str) -> bool:
    """Tell the story while the platform runs; return whether it ended well."""
    console.rule("StreamForge demo", style="dim")
    console.print(f"Starting a platform of its own in {home}")
    started_s = time.monotonic()
    with PlatformProcess(home, exchange) as platform:
        platform.start()
        info = platform.wait_until_healthy(
            lambda news: console.print(f"  {time.monotonic() - started_s:5.1f} s  {news}", style="dim")
        )
        setup_s = time.monotonic() - started_s
        console.print(f"  {setup_s:5.1f} s  all of it is healthy")
        return _load_and_report(console, info, ExchangeUsed(exchange, info.exchange, info.spot_override), setup_s)


def _load_and_report(console: Console, info: PlatformInfo, exchange: ExchangeUsed, setup_s: float) -> bool:
    console.print(f"Exchange: {exchange.described}")
    choice = choose(info, datetime.now(UTC))
    trades_choice = choose_trades(choice, exchange.kind)
    submitted_s = time.monotonic()
    with QueueManager(info.queue_manager_url) as manager:
        candles = _load(console, manager, choice)
        trades = None if trades_choice is None else _load(console, manager, trades_choice)
    ended_s = time.monotonic()
    proof = prove(info, candles.dataset)
    check = None if trades is None else cross_check(info, candles.dataset, trades.dataset)
    sample = _ask(info, candles.dataset.collection_name)
    times = Times(setup_s, ended_s - submitted_s, time.monotonic() - ended_s)
    print_report(console, exchange, candles, proof, trades, check, sample, times)
    loaded = [candles] if trades is None else [candles, trades]
    are_complete = all(it.quality.verdict == COMPLETE for it in loaded)
    return are_complete and proof.is_complete and (check is None or check.holds)


def _load(console: Console, manager: QueueManager, choice: Choice) -> Loaded:
    """Run one workflow to its end.

    Raises:
        PlatformError: It did not complete.
    """
    workflow = manager.submit(choice.request)
    console.print(f"Workflow: {workflow.queue_id} (by POST to {manager.url})")
    last = show_progress(console, follow(manager, workflow.queue_id)) or workflow
    if last.status != "completed":
        raise PlatformError(_why(last))
    return Loaded(last, manager.quality(last.queue_id))


def _ask(info: PlatformInfo, collection: str) -> Sample:
    aql = f"FOR candle IN {collection}\n  SORT candle.volume DESC\n  LIMIT 5\n  RETURN candle"
    return Sample("Which five candles had the largest volume?", aql, Database(info).query(aql))


def _why(workflow: Workflow) -> str:
    if workflow.error is None:
        return f"{workflow.queue_id} ended as {workflow.status}"
    return f"{workflow.queue_id} failed: {workflow.error.detail} ({workflow.error.code})"
