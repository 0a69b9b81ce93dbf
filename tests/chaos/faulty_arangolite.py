"""arangolite as the platform starts it, with its fault switch (`/_lite/faults`) on."""

import sys

from arangolite.__main__ import main

if __name__ == "__main__":
    sys.argv.append("--faults")
    main()
