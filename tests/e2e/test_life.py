"""The life of a platform: what survives its end, and that nothing of it does."""

import signal
import time
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.conftest import opened, read_documents, slow_down
from tests.e2e.recordings import TIME_RANGE
from tests.embedded.offsets import ends_and_places
from tests.embedded.platform import EmbeddedPlatform
from tests.embedded.processes import is_running, wait_until
from tests.embedded.workflows import Workflows

CANDLES = {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": TIME_RANGE}
ENDS_WITHIN_S = 60
pytestmark = pytest.mark.usefixtures("on_this_machine")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def fresh(home, replayed):
    """A platform that is not started yet; whatever a test leaves of it is killed."""
    platform = EmbeddedPlatform(home, f"replay:{replayed}")
    yield platform
    platform.kill()


@contextmanager
def workflows_of(platform):
    workflows = Workflows(platform.url)
    try:
        yield workflows
    finally:
        workflows.close()


def documents_of(platform, collection):
    with ExitStack() as stack:
        database = opened(platform)
        stack.callback(database.close)
        return read_documents(next(database), collection)


def test_up_stop_up_keeps_workflows_offsets_and_data(fresh, recording):
    fresh.start()
    with workflows_of(fresh) as workflows:
        queue_id = workflows.submit({**CANDLES, "collection_name": "kept"})["queue_id"]
        ended = workflows.wait_ended(queue_id, ENDS_WITHIN_S)
        trail = workflows.audit_trail(queue_id)
    group = next(task["telemetry_id"] for task in ended["tasks"] if task["target"] == "arango-connector")
    topic = ended["datasets"][0]["kafka_topic"]
    offsets = ends_and_places(fresh.info["kafka_bootstrap_servers"], topic, group)
    assert fresh.end()[0] == 0

    fresh.start()

    with workflows_of(fresh) as workflows:
        assert workflows.find(queue_id) == ended
        assert workflows.audit_trail(queue_id) == trail
        assert workflows.find(queue_id, "/quality")["verdict"] == "complete"
    assert ends_and_places(fresh.info["kafka_bootstrap_servers"], topic, group) == offsets
    assert documents_of(fresh, "kept") == recording.documents()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_survives_the_end_of_up_and_a_workflow_goes_on_at_the_next(fresh, recording, signum):
    fresh.start()
    slow_down(fresh)
    with workflows_of(fresh) as workflows:
        queue_id = workflows.submit({**CANDLES, "collection_name": "went_on"})["queue_id"]
        wait_until(lambda: workflows.find(queue_id)["tasks"][0]["records_written"] > 0, 30, "the first page")
    alive = [process.pid for process in fresh.processes()]
    assert {"loader-producer", "arango-connector"} < {process.target for process in fresh.processes()}

    code, took_s = fresh.end(signum)

    if signum == signal.SIGKILL:
        wait_until(lambda: not any(map(is_running, alive)), 10, "the end of every process")
    assert code == (0 if signum != signal.SIGKILL else -signal.SIGKILL)
    assert took_s < 10
    assert fresh.processes() == []
    fresh.start()
    with workflows_of(fresh) as workflows:
        assert workflows.wait_ended(queue_id, ENDS_WITHIN_S)["status"] == "completed"
        assert workflows.find(queue_id, "/quality")["verdict"] == "complete"
    assert documents_of(fresh, "went_on") == recording.documents()


@pytest.mark.parametrize(
    ("signum", "after_s"), [(signal.SIGINT, 0.2), (signal.SIGTERM, 1.0), (signal.SIGINT, 2.5), (signal.SIGTERM, 4.0)]
)
def test_a_signal_during_the_start_ends_everything_within_ten_seconds(fresh, signum, after_s):
    fresh.launch()
    time.sleep(after_s)

    code, took_s = fresh.end(signum)

    assert code == 0, fresh.said()
    assert took_s < 10
    assert fresh.processes() == []


def test_two_platforms_side_by_side_know_nothing_of_each_other(platform, workflows, fresh, recording):
    fresh.start()
    with workflows_of(fresh) as others:
        theirs = others.submit({**CANDLES, "collection_name": "side_by_side"})["queue_id"]
        mine = workflows.submit({**CANDLES, "collection_name": "side_by_side"})["queue_id"]

        assert others.wait_ended(theirs, ENDS_WITHIN_S)["status"] == "completed"
        assert workflows.wait_ended(mine, ENDS_WITHIN_S)["status"] == "completed"

        assert others.http.get(f"/workflows/{mine}").status_code == 404
        assert workflows.http.get(f"/workflows/{theirs}").status_code == 404
    assert documents_of(fresh, "side_by_side") == documents_of(platform, "side_by_side") == recording.documents()
