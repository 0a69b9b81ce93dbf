"""Run a program once a file is gone: so a component that was killed stays away for as long as a trial wants.

`python gate.py FILE PROGRAM [ARGUMENT …]`. The program takes this process over, so its id is the component's.
"""

import os
import sys
import time
from pathlib import Path

_LOOK_EVERY_S = 0.02


def main() -> None:
    """Wait, then become the program."""
    closed, command = Path(sys.argv[1]), sys.argv[2:]
    while closed.exists():
        time.sleep(_LOOK_EVERY_S)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
