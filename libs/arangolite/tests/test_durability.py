"""The short form of `trials/durability.py`."""

import subprocess
import sys
from pathlib import Path

import pytest

TRIALS = Path(__file__).parent.parent / "trials" / "durability.py"


@pytest.mark.timeout(300)
def test_what_was_acknowledged_with_wait_for_sync_survives_kill_9() -> None:
    done = subprocess.run([sys.executable, str(TRIALS), "--trials", "2"], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 trials, 0 failed" in done.stdout
