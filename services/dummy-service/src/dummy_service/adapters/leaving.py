"""Ways to leave, or to stay, that no task should have; nothing is closed, flushed or told."""

import os
import signal
import time

from dummy_service.app.simulating import Fault


def leave(fault: Fault) -> None:
    """Carry out a fault that ends or stops this process as it is.

    Raises:
        ValueError: The fault is another one.
    """
    match fault:
        case Fault.VANISH:
            os.kill(os.getpid(), signal.SIGKILL)
        case Fault.QUIT:
            os._exit(0)
        case Fault.HANG:
            # The event loop stands still with it, so nothing that was asked for is ever looked at.
            while True:
                time.sleep(3600)
        case _:
            raise ValueError(f"{fault!r} is no way to leave")
