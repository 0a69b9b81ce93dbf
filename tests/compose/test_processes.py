"""What docker-compose.yml tells queue-manager and job-runner is enough: as processes, they load and prove a day."""

import re
from contextlib import ExitStack

import pytest

import arangolite
from streamforge_local.ports import LOOPBACK, PortClaims
from tests.compose.test_platform import environment_of
from tests.embedded.processes import wait_until
from tests.embedded.workflows import Workflows
from tests.servers import answers, process

SECRET = "s" * 32
"""What `environment_of` puts in place of every secret."""
A_DAY = {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"}
WITHIN_S = 60


@pytest.fixture
def platform(tmp_path, kafka_broker):
    """The URL of queue-manager; every address of the file leads to a server of this machine."""
    key = tmp_path / "admin-key"
    key.write_text(SECRET)
    database = arangolite.Settings(tmp_path / "db", port=0, root_password=SECRET, jwt_secret=SECRET)
    with ExitStack() as stack, PortClaims() as ports:
        server = stack.enter_context(arangolite.RunningServer(database))
        exchange = stack.enter_context(process("exchange_sim", "serve", "--port", "0")).stdout.readline().strip()
        runner_port, api_port = str(ports.claim()), str(ports.claim())
        places = {
            "kafka:9092": kafka_broker.bootstrap_servers,
            "http://arangodb:8529": server.url,
            "http://job-runner:8091": f"http://{LOOPBACK}:{runner_port}",
            "/run/secrets/admin-key": str(key),
            "/var/lib/streamforge": str(tmp_path / "jobs"),
        }
        topics = {"QUEUE_CONTROL_TOPIC": "compose-control", "QUEUE_EVENTS_TOPIC": "compose-events"}

        def told(service: str, port: str) -> dict[str, str]:
            here = {name: places.get(value, value) for name, value in environment_of(service).items()}
            here = {name: value for name, value in here.items() if not re.search("PROXY", name)}
            return here | topics | {"API_PORT": port}

        stack.enter_context(
            process("job_runner", **told("job-runner", runner_port) | {"BINANCE_SPOT_REST_URL": exchange})
        )
        stack.enter_context(process("queue_manager", **told("queue-manager", api_port)))
        url = f"http://{LOOPBACK}:{api_port}"
        wait_until(lambda: answers(f"{url}/health"), WITHIN_S, "queue-manager")
        yield url


def test_a_day_of_candles_is_loaded_and_proven_and_only_for_who_has_the_key(platform):
    workflows = Workflows(platform)
    assert workflows.http.get("/workflows").status_code == 401

    workflows.http.headers["Authorization"] = f"Bearer {SECRET}"
    queue_id = workflows.submit(A_DAY)["queue_id"]
    ended = workflows.wait_ended(queue_id, WITHIN_S)
    quality = workflows.find(queue_id, "/quality")
    workflows.close()

    assert (ended["status"], ended["error"]) == ("completed", None)
    assert quality["verdict"] == "complete"
    assert quality["datasets"][0]["stored"] == 288
