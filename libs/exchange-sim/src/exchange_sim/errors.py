"""What can go wrong, and who hears of it.

ExchangeError     the client asked for something that the real exchange refuses: answered in the exchange's own words
RecordingError    a recorded file cannot be replayed: the tool does not start, and says which line of which file
ControlError      a request to the tool's own pages (`/_sim/…`) makes no sense: answered with status 400 and a sentence
"""


class ExchangeError(Exception):
    """A refusal in the words of the exchange: an HTTP status and `{"code", "msg"}`."""

    def __init__(self, code: int, msg: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {msg}")
        self.code = code
        self.msg = msg
        self.status = status


class RecordingError(Exception):
    """A file of recorded data that cannot be replayed; the message is one line that names the file and the line."""
