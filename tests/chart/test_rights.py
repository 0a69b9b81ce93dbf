"""The rights that the chart gives to users of the broker are enough for all they do, and for nothing else.

Strimzi is not at hand, so the `KafkaUser`s are made here: users and rules of a real broker that refuses all else.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest

from streamforge_common.contract.targets import environment_for
from streamforge_local.jobs.api import runner_served
from streamforge_local.jobs.programs import Program, service_commands
from streamforge_local.jobs.runner import JobRunner, RestartPolicy
from streamforge_local.jobs.store import JobStore
from streamforge_local.kafka.broker import Broker
from streamforge_local.kafka.install import install
from streamforge_local.ports import LOOPBACK, PortClaims
from streamforge_local.settings import Settings
from tests.chart.conftest import QUEUE_MANAGER, RELEASE, objects_of, template
from tests.embedded.processes import wait_until
from tests.embedded.workflows import Workflows
from tests.servers import answers, process

SECRET = "s" * 32
SUPER_USER = "admin"
SOMEBODYS = "wf-of-somebody-data"
WITHIN_S = 60
A_DAY = {"symbol": "BTCUSDT", "type": "api_candles_5m", "time_range": "2024-08-01:2024-08-02"}
LIVE = {"symbol": "BTCUSDT", "type": "ws_trades", "options": {"duration": 3}}
TYPES = {"topic": 2, "group": 3}
PATTERNS = {"literal": 3, "prefix": 4}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8, "AlterConfigs": 11}
"""Kafka's protocol, `AclOperation`, `ResourceType`, `PatternType`; 3 allows."""


@pytest.fixture(scope="module")
def users():
    """By name, the rules of every KafkaUser."""
    done = template("minimal", "--set", "strimzi.cluster=kafka,kafka.securityProtocol=SASL_PLAINTEXT")
    assert done.returncode == 0, done.stderr
    made = [each for each in objects_of(done.stdout) if each["kind"] == "KafkaUser"]
    return {each["metadata"]["name"]: each["spec"]["authorization"]["acls"] for each in made}


def options(broker: Broker, user: str) -> dict[str, str]:
    """What a client of aiokafka is told."""
    return {
        "bootstrap_servers": broker.bootstrap_servers,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": user,
        "sasl_plain_password": SECRET,
    }


@pytest.fixture(scope="module")
def broker(users, tmp_path_factory) -> Iterator[Broker]:
    """A broker that knows these users, lets nobody in without a password and forbids what no rule allows."""
    folder = tmp_path_factory.mktemp("kafka")
    broker = Broker(folder, install(Settings.from_environment()))
    known = " ".join(f'user_{user}="{SECRET}"' for user in (SUPER_USER, *users))
    more = {
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.client.plain.sasl.jaas.config": (
            "org.apache.kafka.common.security.plain.PlainLoginModule required"
            f' username="{SUPER_USER}" password="{SECRET}" {known};'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Without a name: the broker itself, towards its controller.
        "super.users": f"User:{SUPER_USER};User:ANONYMOUS",
    }
    with (folder / "server.properties").open("a") as properties:
        properties.writelines(f"{name}={value}\n" for name, value in more.items())
    with broker:
        asyncio.run(lay_down(broker, users))
        yield broker


@asynccontextmanager
async def administration(broker: Broker) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**options(broker, SUPER_USER))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def lay_down(broker: Broker, users) -> None:
    async with administration(broker) as admin:
        for user, rules in users.items():
            for rule in rules:
                what = rule["resource"]
                for operation in rule["operations"]:
                    request = CreateAclsRequest(
                        *(TYPES[what["type"]], what["name"], PATTERNS[what["patternType"]]),
                        *(f"User:{user}", "*", OPERATIONS[operation], 3),
                    )
                    answer = await admin._send_to_controller(request)
                    assert all(code == 0 for code, _ in answer.creation_responses), answer


def told(broker: Broker, user: str) -> dict[str, str]:
    """What a service is told of the broker."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_USERNAME": user,
        "KAFKA_SASL_PASSWORD": SECRET,
    }


async def always_there() -> bool:
    return True


@asynccontextmanager
async def platform(broker: Broker, folder) -> AsyncIterator[str]:
    """The URL of queue-manager; it and every target are users of their own."""
    with ExitStack() as stack, PortClaims() as ports:
        database = ("--port", "0", "--data-dir", str(folder / "db"), "--root-password", SECRET, "--jwt-secret", SECRET)
        servers = {"arangolite": database, "exchange_sim": ("--port", "0")}
        database_url, exchange = (
            stack.enter_context(process(module, "serve", *how)).stdout.readline().split()[-1]
            for module, how in servers.items()
        )
        arango = {"ARANGO_URL": database_url, "ARANGO_PASSWORD": SECRET}
        exchanges = {
            "BINANCE_SPOT_REST_URL": exchange,
            "BINANCE_SPOT_WS_URL": exchange.replace("http:", "ws:"),
        }
        everything = Settings.from_environment().inherited | arango | exchanges
        programs = {
            target: Program(command, environment_for(target, everything) | told(broker, f"{RELEASE}-{target}"))
            for target, command in service_commands().items()
        }
        runner_port, api_port = ports.claim(), ports.claim()
        store = JobStore(folder / "jobs", folder / "logs")
        runner = JobRunner(store, programs, always_there, RestartPolicy())
        async with runner, runner_served(runner, SECRET, LOOPBACK, runner_port):
            mine = {"JOB_RUNNER_URL": f"http://{LOOPBACK}:{runner_port}", "JOB_RUNNER_TOKEN": SECRET}
            mine |= {"API_PORT": str(api_port)} | arango | told(broker, QUEUE_MANAGER)
            with process("queue_manager", **mine):
                yield f"http://{LOOPBACK}:{api_port}"


def load_steer_and_remove(url: str) -> dict[str, str]:
    """Do what a broker sees anything of; returns how the workflows ended."""
    wait_until(lambda: answers(f"{url}/health"), WITHIN_S, "queue-manager")
    workflows = Workflows(url)
    ended = {}
    for wish in (A_DAY, LIVE):
        queue_id = workflows.submit(wish)["queue_id"]
        document = workflows.wait_ended(queue_id, WITHIN_S)
        ended[wish["type"]] = document["error"] or document["status"]
        assert workflows.http.delete(f"/workflows/{queue_id}").status_code == 204
    workflows.close()
    return ended


async def test_they_are_enough(broker, tmp_path):
    async with platform(broker, tmp_path) as url:
        ended = await asyncio.to_thread(load_steer_and_remove, url)

    assert ended == {"api_candles_5m": "completed", "ws_trades": "completed"}


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("loader-producer", "queue-control"),
        ("loader-ws", "queue-control"),
        ("arango-connector", "queue-control"),
        ("arango-connector", SOMEBODYS),
        ("queue-manager", "queue-events"),
        ("queue-manager", SOMEBODYS),
    ],
)
async def test_nobody_writes_what_is_anothers_to_write(broker, user, topic):
    async with administration(broker) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    producer = AIOKafkaProducer(**options(broker, f"{RELEASE}-{user}"))
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(topic, b"forged")
    finally:
        await producer.stop()
