"""The page of expected deviations is what `trials/driver_suite.py` reads, and it is held in both directions."""

import runpy
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def test_a_test_that_ends_otherwise_than_the_page_says_is_told() -> None:
    suite = runpy.run_path(str(PACKAGE / "trials" / "driver_suite.py"))
    page = (PACKAGE / "DRIVERS.md").read_text()
    expected = suite["expected_outcomes"](page)
    assert len(expected) == page.count("\n| `")
    assert f"{suite['DRIVER']} {suite['VERSION']}" in page
    first, second = list(expected)[:2]
    as_expected = {**expected, "test_aql::other": "passed"}
    assert suite["differences"](expected, as_expected) == []
    worse = suite["differences"](expected, {**as_expected, "test_aql::other": "failed"})
    better = suite["differences"](expected, {**as_expected, first: "passed"})
    gone = suite["differences"](expected, {test: end for test, end in as_expected.items() if test != second})
    assert [len(told) for told in (worse, better, gone)] == [1, 1, 1]
