"""`streamforge doctor`: what this machine needs for a platform, and how the one that runs is doing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from streamforge_local.client.api import QueueManager
from streamforge_local.client.finding import platform_file, read_platform
from streamforge_local.commands import options
from streamforge_local.commands.failures import FAILED, fails_readably
from streamforge_local.commands.output import screen, write_json
from streamforge_local.errors import PlatformError
from streamforge_local.kafka.install import is_installed
from streamforge_local.kafka.java import find_java, find_maven
from streamforge_local.ports import is_free
from streamforge_local.settings import Settings

_LEAST_FREE_BYTES = 2_000_000_000
"""Topics keep everything until a week after their workflow, and the database stores it once more: room for the
candles of a few symbols, with the broker's own 20 MB."""
_USUAL_PORTS = {"queue-manager": 8080, "exchange-sim": 8090, "arangolite": 8529, "kafka": 9092}
_PROBE_WITHIN_S = 3.0


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "note", "missing"]
    """A note is worth knowing and keeps nobody from anything."""
    detail: str
    """What was found, and what to do about it."""


@fails_readably
def doctor(
    url: options.Url = None,
    home: options.Home = options.DEFAULT_HOME,
    as_json: options.AsJson = False,
) -> None:
    """Check what a platform needs on this machine, and the one that runs.

    Exit code 1 when something is missing. With --json: {"ok", "checks": [{"name", "state", "detail"}]}.
    """
    checks = [*_machine(home.expanduser(), Settings.from_environment()), *_platform(url, home.expanduser())]
    all_well = all(check.state != "missing" for check in checks)
    if as_json:
        write_json({"ok": all_well, "checks": checks})
    else:
        _print_checks(screen(), checks)
    if not all_well:
        raise typer.Exit(FAILED)


def _machine(home: Path, settings: Settings) -> Iterator[Check]:
    yield _java(settings)
    yield from _kafka(settings)
    yield _home(home)
    yield _disk(home)
    yield _ports(home)


def _java(settings: Settings) -> Check:
    try:
        java = find_java(settings.java_home)
    except PlatformError as exc:
        return Check("java", "missing", str(exc))
    return Check("java", "ok", f"{java.version}, {java.executable}")


def _kafka(settings: Settings) -> Iterator[Check]:
    """Maven is needed as long as Kafka's jars are not in the cache folder."""
    if is_installed(settings):
        yield Check("kafka jars", "ok", f"in {settings.cache_folder}")
        return
    yield Check("kafka jars", "note", "the first `streamforge up` downloads them (43 MB)")
    try:
        yield Check("maven", "ok", find_maven())
    except PlatformError as exc:
        yield Check("maven", "missing", str(exc))


def _home(home: Path) -> Check:
    if home.exists() and not home.is_dir():
        return Check("home", "missing", f"{home} is no folder: choose another --home")
    if not os.access(_nearest(home), os.W_OK | os.X_OK):
        return Check("home", "missing", f"{home} cannot be written: choose another --home")
    return Check("home", "ok", str(home) if home.exists() else f"{home} will be made")


def _disk(home: Path) -> Check:
    free = shutil.disk_usage(_nearest(home)).free
    found = f"{free / 1e9:.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        return Check("disk", "missing", f"{found}, {_LEAST_FREE_BYTES / 1e9:.0f} GB wanted: free some, or move --home")
    return Check("disk", "ok", found)


def _ports(home: Path) -> Check:
    if platform_file(home).exists():
        return Check("ports", "ok", "in use by the platform itself")
    taken = [f"{port} ({name})" for name, port in _USUAL_PORTS.items() if not is_free(port)]
    if taken:
        return Check("ports", "note", f"taken: {', '.join(taken)}; `streamforge up` takes others")
    return Check("ports", "ok", f"{', '.join(map(str, _USUAL_PORTS.values()))} are free")


def _platform(url: str | None, home: Path) -> Iterator[Check]:
    sim_url = None
    if url is None:
        if not platform_file(home).exists():
            yield Check("platform", "note", f"none runs on {home}: `streamforge up` starts one")
            return
        try:
            info = read_platform(home)
        except PlatformError as exc:
            yield Check("platform", "missing", str(exc))
            return
        url, sim_url = info.queue_manager_url, info.exchange_sim_url
    yield from _queue_manager(url)
    if sim_url is not None:
        yield _exchange(sim_url)


def _queue_manager(url: str) -> Iterator[Check]:
    try:
        with QueueManager(url) as manager:
            components = manager.health()
    except PlatformError as exc:
        yield Check("queue-manager", "missing", str(exc))
        return
    yield Check("queue-manager", "ok", url)
    for name, state in components.items():
        if state == "ok":
            yield Check(name, "ok", "queue-manager reaches it")
        else:
            yield Check(name, "missing", f"{state}; `up` starts it again, its log is in the home's logs folder")


def _exchange(url: str) -> Check:
    import httpx  # here: no other command needs it before it calls somebody

    try:
        httpx.get(f"{url}/api/v3/ping", timeout=_PROBE_WITHIN_S, trust_env=False).raise_for_status()
    except httpx.HTTPError as exc:
        return Check("exchange-sim", "missing", f"{url} does not answer ({exc}): start `streamforge up` again")
    return Check("exchange-sim", "ok", url)


def _nearest(path: Path) -> Path:
    """Find the folder that is there and will hold what is made at this path."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())


def _print_checks(console: Console, checks: list[Check]) -> None:
    styles = {"ok": "green", "note": "yellow", "missing": "bold red"}
    width = max(len(check.name) for check in checks)
    for check in checks:
        line = Text(f"{check.state:<8}", style=styles[check.state])
        console.print(line.append(f"{check.name:<{width}}  {check.detail}", style="default"), soft_wrap=True)
