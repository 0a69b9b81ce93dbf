"""The platform of the end-to-end tests on a cluster: installed with Helm, beside neighbours of this machine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client

from streamforge_local.exchange import Exchange
from tests.cluster.installation import PASSWORD, Neighbours, Release, installed, neighbours_in, workflows_at
from tests.embedded.workflows import Workflows


@dataclass(frozen=True)
class ClusterPlatform:
    """Implements `Platform`."""

    release: Release
    neighbours: Neighbours
    administrator: client.ApiClient
    url: str
    """Of queue-manager, as this machine reaches it."""

    @property
    def info(self) -> Mapping[str, Any]:
        """Where everything is."""
        return {
            "queue_manager_url": self.url,
            "kafka_bootstrap_servers": self.neighbours.kafka,
            "arango_url": self.neighbours.arangodb,
            "arango_database": "streamforge",
            "arango_username": "root",
            "arango_password": PASSWORD,
            "exchange_sim_url": self.neighbours.exchange,
        }

    @property
    def exchange_url(self) -> str:
        """Of the simulated exchange."""
        return self.neighbours.exchange

    def workflows(self) -> Workflows:
        """Return the REST API."""
        return workflows_at(self.url)

    def jobs_alive(self, queue_id: str) -> Sequence[str]:
        """Name the pods of a workflow that have not ended."""
        return self._pods_alive(f"streamforge.io/queue-id={queue_id}")

    def kill_job(self, target: str, queue_id: str) -> None:
        """Delete the one pod of a target that runs for a workflow, without a grace."""
        (pod,) = self._pods_alive(f"streamforge.io/queue-id={queue_id},streamforge.io/target={target}")
        core = client.CoreV1Api(self.administrator)
        core.delete_namespaced_pod(pod, self.release.namespace, grace_period_seconds=0)

    def _pods_alive(self, selector: str) -> Sequence[str]:
        pods = client.CoreV1Api(self.administrator).list_namespaced_pod(self.release.namespace, label_selector=selector)
        return [pod.metadata.name for pod in pods.items if pod.status.phase not in ("Succeeded", "Failed")]


@contextmanager
def cluster_platform(
    administrator: client.ApiClient, folder: Path, exchange: str, speed: float | None
) -> Iterator[ClusterPlatform]:
    """Have a platform on the cluster until the end.

    Args:
        administrator: Reaches the cluster.
        folder: Of the neighbours' data.
        exchange: As `--exchange` of `streamforge up` takes it; not `live`.
        speed: As `--speed`.
    """
    options = Exchange.parse(exchange, speed).simulator_options
    with (
        neighbours_in(folder, *options) as neighbours,
        installed(administrator, neighbours, folder, {}) as release,
        release.forwarded() as url,
    ):
        yield ClusterPlatform(release, neighbours, administrator, url)
