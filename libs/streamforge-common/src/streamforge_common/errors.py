"""The three failures of StreamForge; each name says how one reacts.

StreamForgeError
├── TransientError        try again: the broker, the database or the exchange is away or busy
├── RejectedRecordError   keep the record with its reason, go on with the rest
└── FatalError            trying again cannot help: the job ends with `FATAL_EXIT_CODE`

Errors of other libraries are translated into these where StreamForge talks to them, and nowhere else.
"""

FATAL_EXIT_CODE = 42
"""A job's exit code that its launcher must not answer with a restart (Kubernetes: `podFailurePolicy` FailJob)."""


class StreamForgeError(Exception):
    """Any failure that StreamForge foresees; everything else is a bug and keeps its traceback."""


class TransientError(StreamForgeError):
    """The same call may succeed later, unchanged."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """Seconds the other side asked to be left alone, None where it did not say."""


class RejectedRecordError(StreamForgeError):
    """One record is not what it must be."""


class FatalError(StreamForgeError):
    """Trying again cannot help; a person has to change something."""

    def __init__(self, message: str, *, code: str = "fatal") -> None:
        super().__init__(message)
        self.code = code
        """A word for programs, e.g. `exchange_refused`; travels in the `error` event."""


def foreseen_cause(errors: ExceptionGroup[Exception]) -> StreamForgeError | None:
    """Return the first foreseen failure of a group of asyncio tasks, None where there is none.

    Where one has failed the others are cancelled; the first is the cause.
    """
    cause: object = errors.subgroup(StreamForgeError)
    while isinstance(cause, ExceptionGroup):
        cause = cause.exceptions[0]
    return cause if isinstance(cause, StreamForgeError) else None
