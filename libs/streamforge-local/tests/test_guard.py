import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamforge_local import guard
from streamforge_local.guard import DIES_WITH_PARENT, guarded

pytestmark = pytest.mark.skipif(not DIES_WITH_PARENT, reason="only Linux ends children with their parent")

PARENT = """
import subprocess, sys
from streamforge_local.guard import guarded
child = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
subprocess.Popen(guarded(child), start_new_session=True).wait()
"""


def test_a_guarded_child_dies_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        parent.send_signal(signal.SIGKILL)
        # The end of the pipe: the last process that held its other side is gone.
        assert parent.stdout.read() == b""


def test_a_child_whose_parent_is_already_another_does_not_start(tmp_path: Path) -> None:
    command = guarded(["touch", str(tmp_path / "started")])
    command[command.index(str(os.getpid()))] = "1"
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (1, "the platform that started this process is gone\n")
    assert not (tmp_path / "started").exists()


def test_a_program_that_is_not_there_is_named() -> None:
    run = subprocess.run(guarded(["no-such-program"]), capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (1, "'no-such-program' cannot be started: No such file or directory\n")


def test_the_wrapper_starts_without_site_packages() -> None:
    assert guarded(["true"])[1:4] == ["-I", "-S", guard.__file__]
