"""What queue-manager may answer instead of what was asked for; each message is what a person reads.

PlatformError
├── AwayError             nobody answers there, or it asks to try again
├── RefusedError          the wish cannot be fulfilled as things stand: unknown workflow, wrong moment
└── InvalidRequestError   the request itself is wrong: one line per field
"""

from streamforge_local.errors import PlatformError


class AwayError(PlatformError):
    """queue-manager cannot be reached; the same call may succeed later."""


class RefusedError(PlatformError):
    """queue-manager understands the wish and cannot fulfil it."""


class InvalidRequestError(PlatformError):
    """The request is wrong; the message has one line per fault, the field in front."""
