"""Start children that cannot outlive their parent, whatever kills it.

A child that is to die with this process is started through this file, run as a script: it asks the Linux kernel to
send it SIGKILL when its parent ends (`PR_SET_PDEATHSIG`), checks that the parent is still the expected one, and only
then becomes the program itself. The kernel keeps the wish across `execve`, so nothing of the wrapper remains.

- *Why a wrapper and not `preexec_fn`*: that runs Python between fork and exec, which is unsafe beside threads and
  rules out `vfork`. The wrapper costs about 20 ms (`-I -S`: no site packages).
- *Why the check*: a parent that dies between fork and `prctl` would leave a child that nobody kills. After `prctl`
  the parent either is still there, or the child sees another parent and leaves.
- *Threads*: the kernel sends the signal when the *thread* that forked ends. Start children from the main thread, as
  asyncio does.
- *Grandchildren*: the wish is not inherited by a fork. A program that starts programs of its own must guard them.
- *Elsewhere than on Linux* there is no such wish. An orderly end still stops everything, a `kill -9` of the platform
  does not; `up` says so (`DIES_WITH_PARENT`).
"""

import os
import sys
from collections.abc import Sequence

DIES_WITH_PARENT = sys.platform == "linux"
"""Whether a guarded child ends with its parent even when that is killed."""


def guarded(command: Sequence[str]) -> list[str]:
    """Wrap a command so that, started by this process, it is killed when this process ends.

    Args:
        command: Program and arguments; the program is looked up on the path.

    Returns:
        The command to start in its place.
    """
    if not DIES_WITH_PARENT:
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def _become(expected_parent: int, command: list[str]) -> None:
    import ctypes  # here: the importing process has no use for it

    pr_set_pdeathsig, sigkill = 1, 9
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(pr_set_pdeathsig, sigkill, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != expected_parent:
        sys.exit("the platform that started this process is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606  # no shell is wanted
    except OSError as error:
        sys.exit(f"{command[0]!r} cannot be started: {error.strerror}")


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
