"""What the faults make of an answer.

What was done to a page stays known item by item, since the ledger counts only what was really given.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from exchange_sim.faults.plan import FaultKind
from exchange_sim.pages import Page

HTML: Final = b"<!doctype html><html><head><title>Maintenance</title></head><body>We will be back soon.</body></html>"


def truncate(body: bytes) -> bytes:
    """Cut a JSON text in the middle; the HTTP answer around it is whole."""
    return body[: len(body) // 2]


def spoil(body: bytes) -> bytes:
    """Break a JSON text at its very end, where a reader has already taken in all of the rows."""
    return body[:-1] + b",}"


def shorten(page: Page) -> Page:
    """The first half of the rows, as if there were no more."""
    return _only(page, range(len(page.rows) // 2))


def repeat_rows(page: Page) -> Page:
    """Every row of the last third a second time, out of order, at the end."""
    count = len(page.rows)
    return _only(page, [*range(count), *range(count - max(1, count // 3), count)])


def drop_rows(page: Page) -> Page:
    """Rows from between others left out: a page that begins and ends as it should."""
    count = len(page.rows)
    middle = range(count // 3, max(count // 3 + 1, count // 2))
    return _only(page, [index for index in range(count) if index not in middle])


def _only(page: Page, indexes: Iterable[int]) -> Page:
    chosen = list(indexes)
    return replace(
        page,
        positions=[page.positions[index] for index in chosen],
        rows=[page.rows[index] for index in chosen],
    )


BODY_EFFECTS: Final[dict[FaultKind, Callable[[bytes], bytes]]] = {
    FaultKind.TRUNCATED_JSON: truncate,
    FaultKind.MALFORMED_JSON: spoil,
}

PAGE_EFFECTS: Final[dict[FaultKind, Callable[[Page], Page]]] = {
    FaultKind.SHORT_PAGE: shorten,
    FaultKind.DUPLICATED_ROWS: repeat_rows,
    FaultKind.MISSING_ROWS: drop_rows,
}

SERVER_ERRORS: Final[dict[FaultKind, tuple[int, str]]] = {
    FaultKind.INTERNAL_ERROR: (-1001, "Internal error; unable to process your request. Please try again."),
    FaultKind.BAD_GATEWAY: (-1000, "An unknown error occurred while processing the request."),
    FaultKind.UNAVAILABLE: (
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
    ),
    FaultKind.GATEWAY_TIMEOUT: (
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    ),
}
"""The code and sentence of each 5xx; the kind's value is the HTTP status."""
