"""The entry of the command `streamforge`."""

import sys

from streamforge_local.stop_signals import StopSignals


def main() -> None:
    """Run the command line; `up` can be told to end from here on, long before its imports are through."""
    signals = StopSignals()
    if sys.argv[1:2] == ["up"]:
        signals.install()
    from streamforge_local.commands.app import app

    app(obj=signals)
