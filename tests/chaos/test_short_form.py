"""One trial of the fast kinds: `make chaos` runs all of them, many times."""

import pytest

from tests.chaos.arena import Arena
from tests.chaos.kinds import FAST, KINDS
from tests.chaos.trial import run_trial


@pytest.fixture(scope="module")
def arena(tmp_path_factory):
    with Arena(tmp_path_factory.mktemp("chaos"), {}) as arena:
        yield arena


@pytest.mark.parametrize("kind", FAST)
def test_nothing_is_lost(arena, kind):
    outcome = run_trial(arena, kind, KINDS[kind](), seed="short", number=0)

    assert outcome.verdict == "passed", outcome
    assert outcome.proof
