"""docker-compose.yml is what Compose takes, and agrees with the code: addresses, settings, versions, and who may what.

No image of others can be run here, so each is left at what its own programs say of its configuration, where they can
be had.
"""

import re
import tomllib
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

import job_runner.settings
import queue_manager.settings
from streamforge_common.settings import ExchangeSettings
from tests import programs

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("streamforge/")}
HEALTH_UNKNOWN = {"fluent-bit"}
"""Whose images hold no program to ask with."""
PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}


def environment_of(service):
    """What a service is told; where `.env` has to say it, some text that is long enough for a secret."""
    told = SERVICES[service]["environment"]
    return {name: re.sub(r"\$\{\w+:\?[^}]*\}", "s" * 32, value) for name, value in told.items() if value is not None}


def networks_of(service):
    return set(SERVICES[service]["networks"])


def config(path):
    return yaml.safe_load((ROOT / "deploy" / path).read_text())


def test_compose_takes_the_file():
    checked = programs.run("compose-spec", "--no-interpolation", FILE)

    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("service", "kinds", "others"),
    [
        (
            "queue-manager",
            [queue_manager.settings.Settings, queue_manager.settings.LocalLauncherSettings],
            set(),
        ),
        ("job-runner", [job_runner.settings.Settings, ExchangeSettings], PROXIES),
    ],
)
def test_every_variable_is_a_setting_and_none_is_left_at_an_address_of_one_machine(service, kinds, others):
    fields = {name.upper(): field for kind in kinds for name, field in kind.model_fields.items()}
    needed = {
        name
        for name, field in fields.items()
        if field.is_required() or "127.0.0.1" in str(field.default) or name == "ARANGO_PASSWORD"
    }
    told = set(SERVICES[service]["environment"])

    assert needed <= told <= fields.keys() | others
    for kind in kinds:
        kind(**{name.lower(): value for name, value in environment_of(service).items() if name not in others})


def test_jobs_can_be_led_to_another_exchange():
    assert {name.upper() for name in ExchangeSettings.model_fields} <= set(SERVICES["job-runner"]["environment"])


def test_queue_manager_has_a_key_since_others_reach_it():
    told = environment_of("queue-manager")
    settings = queue_manager.settings.Settings(**{name.lower(): value for name, value in told.items()})

    assert not settings.is_for_this_machine_only
    assert settings.streamforge_admin_key_file == Path("/run/secrets") / SERVICES["queue-manager"]["secrets"][0]


def addresses():
    """Every server that is named somewhere: (who names it, its name, its port or None)."""
    for service, described in SERVICES.items():
        for text in described.get("environment", {}).values():
            for host, port in re.findall(r"(?:^|//)([a-z][a-z-]+):(\d+)$", text or ""):
                if host != "localhost":
                    yield service, host, int(port)
        for needed in described.get("depends_on", ()):
            yield service, needed, None
    for job in config("prometheus/prometheus.yml")["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            host, port = target.split(":")
            yield "prometheus", host.replace("localhost", "prometheus"), int(port)
    (source,) = config("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    yield "grafana", urlsplit(source["url"]).hostname, urlsplit(source["url"]).port
    (output,) = config("fluent-bit/fluent-bit.yaml")["pipeline"]["outputs"]
    yield "fluent-bit", output["host"], output["port"]


@pytest.mark.parametrize(("who", "whom", "port"), sorted(set(addresses()), key=str))
def test_who_is_named_is_there_and_in_reach(who, whom, port):
    if whom == "exchange-sim":
        assert str(port) in SERVICES[whom]["entrypoint"]
    elif whom in OURS and port:
        assert environment_of(whom)["API_PORT"] == str(port)
    elif port:
        assert f":{port}" in str(SERVICES[whom]), "its own healthcheck, port or listener names it"

    assert networks_of(who) & networks_of(whom)


def test_jobs_do_not_reach_the_logs_and_nobody_reaches_a_network_by_accident():
    assert networks_of("elasticsearch") == {"logs"}
    assert {name for name in SERVICES if "logs" in networks_of(name)} == {"elasticsearch", "kibana", "fluent-bit"}
    assert networks_of("kafka") == {"inside"}
    assert COMPOSE["networks"]["inside"]["internal"]
    assert COMPOSE["networks"]["logs"]["internal"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_as_little_as_it_can_do_with(service):
    described = SERVICES[service]

    assert described["cap_drop"] == ["ALL"]
    assert described["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & described.keys()
    assert not any("docker.sock" in str(volume) for volume in described.get("volumes", ()))
    assert re.fullmatch(r"\d+[mg]", described["mem_limit"])
    assert all(port.startswith("127.0.0.1:") for port in described.get("ports", ()))
    if service in OURS:
        assert described["read_only"]
        assert described["user"] == "10001:10001"
        assert described["pull_policy"] == "never"


@pytest.mark.parametrize("service", SERVICES)
def test_who_is_waited_for_says_when_it_is_healthy(service):
    for needed, how in SERVICES[service].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert needed not in HEALTH_UNKNOWN
    own_image_says = "build" in SERVICES[service] and "entrypoint" not in SERVICES[service]
    assert ("healthcheck" in SERVICES[service]) != (own_image_says or service in HEALTH_UNKNOWN)


def test_versions_are_pinned_and_ours_are_those_of_the_project():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    kafka = (ROOT / "libs/streamforge-local/src/streamforge_local/kafka/pom.xml").read_text()
    tags = {name: service["image"].rpartition(":")[2] for name, service in SERVICES.items()}

    assert {tags[name] for name in OURS} == {version}
    assert tags["kafka"] == re.search(r"kafka_2\.13</artifactId>\s*<version>([^<]+)<", kafka)[1]
    assert all(re.search(r"\d{4}|\d+\.\d+\.\d+", tag) for tag in tags.values()), "a name such as latest moves"


def test_prometheus_takes_its_configuration():
    checked = programs.run("promtool", "check", "config", ROOT / "deploy/prometheus/prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_fluent_bit_finds_the_logs_of_jobs_and_reads_their_time():
    described = config("fluent-bit/fluent-bit.yaml")
    (tail,) = (each for each in described["pipeline"]["inputs"] if each["name"] == "tail")
    (parser,) = described["parsers"]
    time_format = parser["time_format"].replace("%L", "%f")
    mounted = {"job-runner": "jobs:/var/lib/streamforge", "fluent-bit": "jobs:/var/lib/streamforge:ro"}

    assert tail["path"] == f"{environment_of('job-runner')['JOB_RUNNER_FOLDER']}/logs/*.log"
    assert all(volume in SERVICES[service]["volumes"] for service, volume in mounted.items())
    assert datetime.strptime("2026-11-25T17:12:03.123Z", time_format)  # noqa: DTZ007  # the Z is read as a letter
