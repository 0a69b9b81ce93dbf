"""Modules of ours as processes of a test, told what the test says and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx


@contextmanager
def process(module: str, *arguments: str, **told: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module with these variables for the time of the block; it has to end well at the end."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME")} | told  # noqa: TID251  # of a child
    running = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        yield running
    finally:
        running.terminate()
        assert running.wait(30) == 0
        assert running.stdout is not None
        running.stdout.close()


def answers(url: str) -> bool:
    """Say whether a server answers with 200 now."""
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
