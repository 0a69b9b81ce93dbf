"""Whole workflows on simulated tasks: queue-manager, the job runner and the broker are real, what jobs do is played."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.offsets import ends_and_places
from tests.embedded.platform import EmbeddedPlatform
from tests.embedded.workflows import Workflows

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("on_this_machine")]
"""Each starts a platform of its own."""

DAY = {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"}
CANDLES = 288
ENDS_WITHIN_S = 180
SIMULATE = "dummy_service simulate --rate 500"


@contextmanager
def simulated(home: Path, *, loader: str = "", connector: str = "") -> Iterator[tuple[EmbeddedPlatform, Workflows]]:
    """Run a platform whose loaders and connectors are simulated with these options."""
    command = [sys.executable, "-m", "tests.chaos.up"]
    for target, script in (("loader-producer", loader), ("arango-connector", connector)):
        command += ["--job", f"{target}={SIMULATE} {script}"]
    with EmbeddedPlatform(home, "simulated", command=command) as platform:
        workflows = Workflows(platform.url)
        try:
            yield platform, workflows
        finally:
            workflows.close()


def task_of(document: dict[str, Any], target: str) -> dict[str, Any]:
    (task,) = [task for task in document["tasks"] if task["target"] == target]
    return task


def test_a_platform_has_the_topic_that_loads_go_to(platform):
    command = [sys.executable, "-m", "dummy_service", "load", "--seconds", "0.5", "--json"]
    environment = {"PATH": os.defpath, "KAFKA_BOOTSTRAP_SERVERS": platform.info["kafka_bootstrap_servers"]}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["topic"] == "dummy-ping"


def test_a_workflow_on_simulated_tasks_completes_and_its_drain_is_a_true_one(tmp_path):
    with simulated(tmp_path / "home") as (platform, workflows):
        ended = workflows.wait_ended(workflows.submit(DAY)["queue_id"], ENDS_WITHIN_S)
        quality = workflows.find(ended["queue_id"], "/quality")
        ends, places = ends_and_places(
            platform.info["kafka_bootstrap_servers"],
            ended["datasets"][0]["kafka_topic"],
            task_of(ended, "arango-connector")["telemetry_id"],
        )

    assert ended["status"] == "completed", ended
    assert {task["records_written"] for task in ended["tasks"]} == {CANDLES}
    assert ends == places == {0: CANDLES}
    # The proof is not deceived: nothing was stored.
    (dataset,) = quality["datasets"]
    assert (quality["verdict"], dataset["stored"], dataset["missing"]) == ("incomplete", 0, CANDLES)


def test_a_workflow_whose_simulated_loader_fails_for_good_ends_in_error_and_drains_what_there_is(tmp_path):
    with simulated(tmp_path / "home", loader="--fault fatal-error --fault-after 100") as (_, workflows):
        ended = workflows.wait_ended(workflows.submit(DAY)["queue_id"], ENDS_WITHIN_S)

    assert ended["status"] == "error", ended
    assert ended["error"]["code"] == "simulated"
    assert task_of(ended, "loader-producer")["status"] == "error"
    connector = task_of(ended, "arango-connector")
    assert (connector["status"], connector["records_written"]) == ("completed", 100)


def test_a_simulated_loader_that_vanishes_is_restarted_and_the_workflow_completes(tmp_path):
    with simulated(tmp_path / "home", loader="--fault vanish --fault-after 100") as (_, workflows):
        ended = workflows.wait_ended(workflows.submit(DAY)["queue_id"], ENDS_WITHIN_S)
        trail = workflows.audit_trail(ended["queue_id"])

    assert ended["status"] == "completed", ended
    loader = task_of(ended, "loader-producer")
    # Its launcher restarts a killed job in the same attempt.
    assert (loader["attempt"], loader["records_written"]) == (1, CANDLES)
    starts = [
        item
        for item in trail
        if item["kind"] == "event"
        and item["data"]["producer"] == loader["telemetry_id"]
        and item["data"]["status"] == "starting"
    ]
    assert len(starts) == 2
    assert task_of(ended, "arango-connector")["records_written"] == CANDLES
