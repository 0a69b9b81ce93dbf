"""Wires queue-manager: the only place where its parts are built."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from loguru import logger

from queue_manager.adapters.api import create_api
from queue_manager.adapters.evidence import ArangoEvidence
from queue_manager.adapters.findings import ArangoFindings
from queue_manager.adapters.key_store import ArangoKeyStore
from queue_manager.adapters.local_jobs import LocalLauncher
from queue_manager.adapters.messages import EVENTS_GROUP, KafkaControlLog, read_events
from queue_manager.adapters.series import ArangoSeries
from queue_manager.adapters.store import ArangoWorkflowStore
from queue_manager.app.controller import Controller
from queue_manager.app.examining import Examiner
from queue_manager.app.keys import Keyring
from queue_manager.settings import KubernetesLauncherSettings, LocalLauncherSettings, Settings
from streamforge_common.api_server import serve_api
from streamforge_common.arango.database import ensure_database, open_database, ping_database
from streamforge_common.errors import StreamForgeError
from streamforge_common.kafka.messages import MessageWriter, PlaceReader
from streamforge_common.kafka.topics import Topics
from streamforge_common.outages import Neighbour, connect, patiently
from streamforge_common.settings import read_settings
from streamforge_common.telemetry import configure_logging

if TYPE_CHECKING:
    from queue_manager.adapters.kubernetes.launcher import KubernetesLauncher

_PROBE_TIMEOUT_S = 3
"""A probe blocks a thread for as long, also at the end of the process."""


def main() -> None:
    """Run queue-manager until SIGTERM or SIGINT."""
    settings = read_settings(Settings)
    launcher = _launcher(settings)
    admin_key = _admin_key(settings.streamforge_admin_key_file)
    configure_logging(settings, "queue-manager")
    try:
        uvloop.run(_serve(settings, launcher, admin_key))
    except* StreamForgeError as group:
        logger.error("{}", "; ".join(str(error) for error in group.exceptions))
        raise SystemExit(1) from None


async def _serve(settings: Settings, launcher: "LocalLauncher | KubernetesLauncher", admin_key: str | None) -> None:
    database = open_database(settings)
    probed = open_database(settings, request_timeout_s=_PROBE_TIMEOUT_S)
    topics = Topics(settings)
    writer = MessageWriter(settings, delivery_timeout_s=settings.outage_seconds)
    store = ArangoWorkflowStore(database)
    key_store = ArangoKeyStore(database)
    keyring = Keyring(key_store, clock=lambda: datetime.now(UTC), always_asks=not settings.is_for_this_machine_only)
    log = KafkaControlLog(
        settings,
        topics,
        writer,
        partitions=settings.data_topic_partitions,
        retention_hours=settings.data_topic_retention_hours,
    )
    neighbours = [
        Neighbour("kafka", topics.ping, settings.outage_seconds),
        Neighbour("arangodb", lambda: ping_database(probed), settings.outage_seconds),
        Neighbour("launcher", launcher.ping, settings.outage_seconds),
    ]
    findings = ArangoFindings(database)
    examiner = Examiner(store, ArangoSeries(database), findings)
    controller = Controller(
        store,
        log,
        launcher,
        clock=lambda: datetime.now(UTC),
        stop_grace_s=settings.stop_grace_seconds,
        most_running=settings.max_running_workflows,
        on_settled=examiner.ask,
    )
    app = create_api(controller, store, launcher, ArangoEvidence(database), examiner, neighbours, keyring)
    async with AsyncExitStack() as stack:
        for client in (topics, writer, launcher):
            await connect(stack, client, settings.outage_seconds)
        await patiently(lambda: ensure_database(settings), settings.outage_seconds)
        await store.prepare()
        await key_store.prepare()
        await findings.prepare()
        await keyring.prepare(admin_key)
        await log.prepare()
        # A topic that was just created is not known everywhere at once.
        partitions = await patiently(lambda: topics.end_offsets(settings.queue_events_topic), settings.outage_seconds)
        reader = PlaceReader(settings, settings.queue_events_topic, EVENTS_GROUP, partitions)
        await connect(stack, reader, settings.outage_seconds)
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(controller.run()),
                group.create_task(examiner.run()),
                group.create_task(read_events(reader, controller.take_events, outage_seconds=settings.outage_seconds)),
                *(group.create_task(neighbour.watch()) for neighbour in neighbours),
            ]
            await serve_api(app, settings.api_host, settings.api_port, on_stop=controller.trails.close)
            for loop in loops:
                loop.cancel()


def _launcher(settings: Settings) -> "LocalLauncher | KubernetesLauncher":
    if settings.launcher == "local":
        local = read_settings(LocalLauncherSettings)
        return LocalLauncher(local.job_runner_url, local.job_runner_token.get_secret_value())
    # Loading the client library takes longer than all the rest, and an embedded platform has no use for it.
    from queue_manager.adapters.kubernetes.launcher import KubernetesLauncher

    cluster = read_settings(KubernetesLauncherSettings)
    return KubernetesLauncher(cluster.plan(settings), cluster.kubeconfig)


def _admin_key(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SystemExit(f"STREAMFORGE_ADMIN_KEY_FILE cannot be read: {exc}") from None


if __name__ == "__main__":
    main()
