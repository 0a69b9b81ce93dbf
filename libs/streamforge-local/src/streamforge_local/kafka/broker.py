"""One Kafka broker on one folder: KRaft combined (broker and controller in one JVM), one replica, on loopback.

`prepare_broker` writes the configuration and, once per folder, formats the storage; it gives the command that runs the
broker, which the supervisor of `up` keeps alive. `Broker` runs that command for whoever needs just a broker: tests, and
the trial run of the installation.
"""

import base64
import contextlib
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import Self

from streamforge_local.errors import PlatformError
from streamforge_local.guard import guarded
from streamforge_local.kafka.install import Installation
from streamforge_local.logfiles import last_lines
from streamforge_local.ports import LOOPBACK, PortClaims, accepts_connections

_LOG4J = Path(__file__).with_name("log4j2.properties")

_START_WITHIN_S = 60.0
"""A start takes 1 to 3 s; a loaded machine that recovers a big log after a crash needs more."""

_STOP_WITHIN_S = 60.0
"""A stop takes about 0.3 s, and 3 s where the JVM archives its classes."""


def prepare_broker(
    folder: Path, installation: Installation, port: int, controller_port: int, *, host: str = LOOPBACK
) -> list[str]:
    """Write the broker's configuration and format its storage if that was never done.

    Args:
        folder: Where everything of this broker lives; its data survive, the ports may be others every time.
        installation: The Java and the jars to use.
        port: Where clients will connect.
        controller_port: Where the broker speaks with its own controller.
        host: Another address for its clients, where they are in a network of their own.

    Returns:
        The command that runs the broker in the foreground, logging to standard output.

    Raises:
        PlatformError: The storage could not be formatted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, properties = folder / "data", folder / "server.properties"
    properties.write_text(_server_properties(data, host, port, controller_port))
    if not data.exists():
        _format(folder, installation, port, controller_port)
    return [*_jvm(installation), "kafka.Kafka", str(properties)]


def _server_properties(data: Path, host: str, port: int, controller_port: int) -> str:
    # A quorum of one by static configuration: the voter's address is then read from here at every start and may change,
    # while a dynamic quorum would keep that of the first start in its log.
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{LOOPBACK}:{controller_port}
listeners=CLIENT://{host}:{port},CONTROLLER://{LOOPBACK}:{controller_port}
advertised.listeners=CLIENT://{host}:{port}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs={data}

# What the contract asks for: topics are created by queue-manager only, and nothing expires unless a topic says so.
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
log.retention.ms=-1
message.max.bytes=8388608

# One node: internal topics have one replica; few partitions start faster and are plenty.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# A group of one member waits for nobody, and offsets outlive a long holiday (minutes).
group.initial.rebalance.delay.ms=0
offsets.retention.minutes=525600

# A killed broker that comes back is refused until the session of its former self ends (default 9 s).
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000

# A small machine: the log cleaner alone would take 128 MiB of the heap.
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
"""


def _jvm(installation: Installation) -> list[str]:
    return [
        installation.java.executable,
        "-Xms64m",
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        installation.class_sharing,
        # The JVM need not tell that an archive does not fit.
        "-Xlog:disable",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={_LOG4J}",
        "-cp",
        f"{installation.jars}/*",
    ]


def _format(folder: Path, installation: Installation, port: int, controller_port: int) -> None:
    """Format beside and rename, so that an interrupted format leaves nothing that looks formatted."""
    fresh, properties, log = folder / "data.formatting", folder / "format.properties", folder / "format.log"
    properties.write_text(_server_properties(fresh, LOOPBACK, port, controller_port))
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [*_jvm(installation), "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    # In one word: every 64th id begins with a dash and would be taken for an option of its own.
    command += [f"--cluster-id={cluster_id}", "--config", str(properties)]
    with log.open("w") as output:
        run = subprocess.run(guarded(command), stdout=output, stderr=output, check=False)
    if run.returncode != 0:
        raise PlatformError(f"Kafka's storage could not be formatted, see {log}:\n{last_lines(log)}")
    fresh.rename(folder / "data")


class Broker:
    """A running broker, for tests and trial runs: started by `with`, stopped at its end, restarted in between."""

    def __init__(self, folder: Path, installation: Installation, *, host: str = LOOPBACK) -> None:
        self._host = host
        self._ports = PortClaims()
        self._log = folder / "kafka.log"
        self._port = self._ports.claim()
        self._command = prepare_broker(folder, installation, self._port, self._ports.claim(), host=host)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect; stays the same over `stop`, `kill` and `start`."""
        return f"{self._host}:{self._port}"

    def start(self) -> None:
        """Start the broker and wait until it serves clients.

        Raises:
            PlatformError: It ended, or did not answer in time.
        """
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                guarded(self._command), stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + _START_WITHIN_S
        while not accepts_connections(self._host, self._port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise PlatformError(f"Kafka did not start, see {self._log}:\n{last_lines(self._log)}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the broker in order; it is killed when that takes too long."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_WITHIN_S)
        self.kill()

    def kill(self) -> None:
        """End the broker as `kill -9` does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._ports.close()
