import pytest

from arango_connector.app.tally import Tally

OLD = Tally(1, stored=5_000, repeated=3, rejected=2, out_of_range=7)
LATEST = OLD.plus(stored=10, repeated=1, rejected=0, out_of_range=4)


def test_within_an_attempt_counting_goes_on_from_the_latest_of_all_partitions() -> None:
    assert Tally.resume(1, [LATEST.encode(), OLD.encode()]) == LATEST == Tally(1, 5_010, 4, 2, 11)


def test_a_new_attempt_counts_its_own_progress_and_goes_on_with_what_is_of_the_topic() -> None:
    assert Tally.resume(2, [OLD.encode(), LATEST.encode()]) == Tally(2, rejected=2, out_of_range=11)


@pytest.mark.parametrize("kept", [[], ["moved by hand"], ["{}"], ["[1]"]])
def test_without_anything_readable_counting_begins_anew(kept: list[str]) -> None:
    assert Tally.resume(3, kept) == Tally(3)
