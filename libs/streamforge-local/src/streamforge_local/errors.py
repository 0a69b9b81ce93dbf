"""The one failure of the embedded platform that a person can do something about.

`PlatformError` carries a sentence that says what is wrong and what to do; the command line prints it and exits 1. Every
other exception is a bug and keeps its traceback.
"""


class PlatformError(Exception):
    """The platform cannot start or go on, and the message tells the person what to do about it."""
