"""The platform installed with Helm on the cluster, and its neighbours, which are processes of this machine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from arango.client import ArangoClient
from kubernetes import client

import arangolite
from streamforge_local.kafka.broker import Broker
from streamforge_local.kafka.install import install
from streamforge_local.settings import Settings
from tests import programs
from tests.chart.conftest import CHART
from tests.cluster.conftest import model, restricted_namespace
from tests.embedded.workflows import Workflows

RELEASE, QUEUE_MANAGER = "sf", "sf-streamforge-queue-manager"
KEY = "0123456789abcdef" * 4
PASSWORD = "of-the-test"


@dataclass(frozen=True)
class Neighbours:
    """What the platform is told of the world."""

    kafka: str
    arangodb: str
    exchange: str

    def stored(self, collection: str) -> set[str]:
        """The keys of all documents."""
        database = ArangoClient(hosts=self.arangodb).db("streamforge", username="root", password=PASSWORD)
        return set(database.aql.execute("FOR d IN @@c RETURN d._key", bind_vars={"@c": collection}))

    def be_slow(self, import_s: float | None) -> None:
        """Have the database take so long for each import from now on; None: as long as it takes."""
        delay = {"kind": "delay", "path": "/_api/import", "delay_seconds": import_s}
        faults = [] if import_s is None else [delay]
        httpx.put(f"{self.arangodb}/_lite/faults", json=faults, auth=("root", PASSWORD)).raise_for_status()


def host_of_this_machine() -> str:
    """Under which address pods reach it; without one whoever asks is skipped."""
    host = os.environ.get("STREAMFORGE_TEST_HOST")  # noqa: TID251
    if not host:
        pytest.skip("STREAMFORGE_TEST_HOST does not say under which address pods reach this machine")
    return host


@contextmanager
def neighbours_in(folder: Path, *exchange_options: str) -> Iterator[Neighbours]:
    """Have a broker, a database and a simulated exchange that pods can reach, until the end."""
    host = host_of_this_machine()
    settings = arangolite.Settings(
        folder / "arangolite", host=host, port=0, root_password=PASSWORD, jwt_secret=PASSWORD, faults=True
    )
    with (
        Broker(folder / "kafka", install(Settings.from_environment()), host=host) as broker,
        arangolite.RunningServer(settings) as server,
        _exchange(host, *exchange_options) as url,
    ):
        yield Neighbours(broker.bootstrap_servers, server.url, url)


@contextmanager
def _exchange(host: str, *options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "exchange_sim", "serve", "--host", host, "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@dataclass(frozen=True)
class Release:
    """An installation."""

    namespace: str
    values: str

    def helm(self, *command: str) -> str:
        """Run Helm; it has to succeed."""
        done = programs.run("helm", *command, "--namespace", self.namespace)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bring_about(self, *more: str) -> str:
        """Install or upgrade, and wait until all is ready."""
        return self.helm(
            *("upgrade", "--install", RELEASE, str(CHART), "--values", self.values, "--wait", "--timeout", "4m", *more)
        )

    @contextmanager
    def forwarded(self) -> Iterator[str]:
        """Have a URL of the API that leads through the API server, until the end."""
        command = [programs.find("kubectl"), "--namespace", self.namespace, "port-forward"]
        with subprocess.Popen(
            [*command, f"service/{QUEUE_MANAGER}", ":8080"], stdout=subprocess.PIPE, text=True
        ) as forwarding:
            assert forwarding.stdout is not None
            try:
                said = forwarding.stdout.readline().split()
                if not said:
                    raise ConnectionError("no pod of queue-manager can be reached")
                yield f"http://{said[2]}"
            finally:
                forwarding.terminate()

    @contextmanager
    def workflows(self) -> Iterator[Workflows]:
        """Reach the API."""
        with self.forwarded() as url:
            workflows = workflows_at(url)
            try:
                yield workflows
            finally:
                workflows.close()


def workflows_at(url: str) -> Workflows:
    """Call the API with the first admin's key."""
    workflows = Workflows(url)
    workflows.http.headers["Authorization"] = f"Bearer {KEY}"
    return workflows


@contextmanager
def installed(
    administrator: client.ApiClient, neighbours: Neighbours, folder: Path, values: Mapping[str, Any]
) -> Iterator[Release]:
    """Have the platform installed in a namespace of its own until the end.

    Args:
        administrator: Reaches the cluster.
        neighbours: What the platform talks to; all exchanges are the simulated one.
        folder: For the file with the values.
        values: Of the chart, beside where the neighbours are.
    """
    rest, streams = neighbours.exchange, neighbours.exchange.replace("http", "ws", 1)
    told = {
        "kafka": {"bootstrapServers": neighbours.kafka},
        "arangodb": {"url": neighbours.arangodb},
        "jobs": {
            "environment": {
                "BINANCE_SPOT_REST_URL": rest,
                "BINANCE_FUTURES_REST_URL": rest,
                "BINANCE_DUMPS_URL": rest,
                "BYBIT_REST_URL": rest,
                "BINANCE_SPOT_WS_URL": streams,
                "BINANCE_FUTURES_WS_URL": streams,
                "BYBIT_WS_URL": streams,
            }
        },
    }
    files = [folder / name for name in ("neighbours.json", "values.json")]
    for file, contents in zip(files, (told, values), strict=True):
        file.write_text(json.dumps(contents))
    core = client.CoreV1Api(administrator)
    with restricted_namespace(administrator) as namespace:
        entries = {"ARANGO_PASSWORD": PASSWORD}, {"admin-key": KEY}
        for name, data in zip(("streamforge-credentials", "streamforge-admin-key"), entries, strict=True):
            secret = {"metadata": {"name": name}, "stringData": data}
            core.create_namespaced_secret(namespace, model(client.V1Secret, secret))
        release = Release(namespace, ",".join(map(str, files)))
        try:
            notes = release.bring_about()
            assert f"service/{QUEUE_MANAGER}" in notes
            yield release
        finally:
            programs.run("helm", "uninstall", RELEASE, "--ignore-not-found", "--namespace", namespace)
