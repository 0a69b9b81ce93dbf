"""The chart and the code say the same: settings, rights, labels, versions."""

import json
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from queue_manager.adapters.kubernetes import launcher, scaled
from queue_manager.app import catalog
from queue_manager.app.pods import TargetPlan
from queue_manager.settings import KubernetesLauncherSettings, Settings
from streamforge_common.settings import ExchangeSettings, read_settings
from tests.chart.conftest import (
    CHART,
    NAMESPACE,
    QUEUE_MANAGER,
    RELEASE,
    find,
    jobs_of,
    objects_of,
    pod_of_queue_manager,
    template,
    variables_of,
)
from tests.cluster.conftest import KEDA_RULES, RULES
from tests.compose.test_kafka import PROMISED

ROOT = Path(__file__).parents[2]
FROM_SECRETS = {"arango_password", "kafka_sasl_password"}
"""Settings whose values are in Secrets."""
NOT_IN_A_CLUSTER = {"kubeconfig"}
CALLS = re.compile(r"self\._[a-z]+\.(create|read|list|delete)_namespaced_(\w+)\b")
VERBS = {"create": "create", "read": "get", "list": "list", "delete": "delete"}
RESOURCES = {
    "job": "jobs",
    "pod": "pods",
    "pod_log": "pods/log",
    "deployment": "deployments",
    "custom_object": "scaledobjects",
}


def test_every_setting_is_reached_by_a_value_and_no_variable_is_a_slip(render):
    known = {*Settings.model_fields, *KubernetesLauncherSettings.model_fields} - FROM_SECRETS - NOT_IN_A_CLUSTER

    assert {name.lower() for name in variables_of(objects_of(render("full")))} == known


def test_queue_manager_can_read_what_it_is_told(objects, monkeypatch):
    for name, text in variables_of(objects).items():
        monkeypatch.setenv(name, text)
    settings, cluster = read_settings(Settings), read_settings(KubernetesLauncherSettings)

    assert (settings.launcher, settings.is_for_this_machine_only) == ("kubernetes", False)
    assert (cluster.kubernetes_namespace, cluster.kubernetes_instance) == (NAMESPACE, RELEASE)
    assert (
        cluster.plan(settings).targets["loader-producer"].image.rpartition("/")[2].startswith("loader-producer:0.1.0")
    )


def test_what_is_not_said_is_what_the_code_has_by_default(render):
    told = {name.lower(): text for name, text in variables_of(objects_of(render("minimal"))).items()}
    targets = told["kubernetes_job_targets"]
    differing = set()
    for kind in (Settings, KubernetesLauncherSettings):
        ours, codes = kind(**told), kind(kubernetes_job_targets=targets)
        differing |= {name for name in kind.model_fields if getattr(ours, name) != getattr(codes, name)}

    assert differing == {
        "kafka_bootstrap_servers",
        "arango_url",
        "api_host",
        "streamforge_admin_key_file",
        "launcher",
        "kubernetes_namespace",
        "kubernetes_job_config_maps",
        "kubernetes_job_service_account",
    }


def test_everything_about_a_target_is_reached_by_a_value(render):
    told = json.loads(variables_of(objects_of(render("full")))["KUBERNETES_JOB_TARGETS"])["loader-producer"]
    described = json.loads((CHART / "values.schema.json").read_text())["definitions"]["target"]["properties"]
    by_default = TargetPlan(image="")

    assert set(told) == set(TargetPlan.model_fields)
    for name in ("requests", "limits"):
        assert all(quantity in described[name]["description"] for quantity in getattr(by_default, name).values())


def test_what_is_taken_away_with_null_is_empty():
    removed = [
        "adminKey.secret",
        "credentials",
        "image.pullSecrets",
        "jobs.environment",
        "jobs.targets.loader-producer",
    ]
    removed += ["networkPolicy.apiFrom", "networkPolicy.metricsFrom"]
    objects = objects_of(template("minimal", "--set", ",".join(f"{name}=null" for name in removed)).stdout)
    job = jobs_of(objects)["arango-connector"]

    assert "loader-producer" not in jobs_of(objects)
    assert job["spec"]["template"]["spec"]["containers"][0]["envFrom"] == [{"configMapRef": {"name": "streamforge"}}]
    assert "STREAMFORGE_ADMIN_KEY_FILE" not in variables_of(objects)


def test_jobs_are_made_of_what_the_chart_has(objects):
    deployed = pod_of_queue_manager(objects)["spec"]
    (container,) = deployed["containers"]

    def files(volumes):
        return [each for each in volumes if each["name"] == "files"]

    for pod in (each["spec"]["template"]["spec"] for each in jobs_of(objects).values()):
        find(objects, "ServiceAccount", pod["serviceAccountName"])
        (job,) = pod["containers"]
        assert job["envFrom"] == container["envFrom"]
        assert files(pod["volumes"]) == files(deployed["volumes"])
        assert files(job["volumeMounts"]) == files(container["volumeMounts"])
        assert pod["securityContext"] == deployed["securityContext"]
        assert job["securityContext"] == container["securityContext"]
        assert pod.get("imagePullSecrets") == deployed.get("imagePullSecrets")


def test_everything_that_can_be_asked_for_has_an_image():
    targets = yaml.safe_load((CHART / "values.yaml").read_text())["jobs"]["targets"]

    assert set(targets) == {target for entry in catalog.catalog_entries() for target in entry.targets}


@pytest.mark.parametrize(("values", "callers"), [("minimal", [launcher]), ("full", [launcher, scaled])])
def test_the_role_holds_what_the_launcher_calls_and_nothing_else(render, values, callers):
    source = "".join(Path(caller.__file__).read_text() for caller in callers)
    calls = CALLS.findall(source)
    rules = find(objects_of(render(values)), "Role", QUEUE_MANAGER)["rules"]

    assert len(calls) == source.count("_namespaced_"), "a call that this test does not know"
    assert source.count("watch=True") == 1, "the one on jobs"
    assert {(thing, verb) for rule in rules for thing in rule["resources"] for verb in rule["verbs"]} == {
        ("jobs", "watch"),
        *((RESOURCES[thing], VERBS[call]) for call, thing in calls),
    }
    assert rules == RULES + (KEDA_RULES if scaled in callers else []), "what is tested on a cluster has these rights"


def test_only_queue_manager_has_a_token(objects):
    pods = [each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment"]
    pods += [each["spec"] for each in objects if each["kind"] == "Pod"]

    assert [pod["serviceAccountName"] for pod in pods if pod["automountServiceAccountToken"]] == [QUEUE_MANAGER]
    assert not any(each["automountServiceAccountToken"] for each in objects if each["kind"] == "ServiceAccount")
    bound = [subject["name"] for each in objects if each["kind"] == "RoleBinding" for subject in each["subjects"]]
    assert bound == [QUEUE_MANAGER]


def selects(selector, labels):
    listed = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in listed)
    named = selector.get("matchLabels", {})
    return named.items() <= labels.items() and all(labels.get(each["key"]) in each["values"] for each in listed)


def ports_of(objects, labels, direction):
    """To (`egress`) or on (`ingress`) which ports pods with such labels may talk."""
    policies = (each["spec"] for each in objects if each["kind"] == "NetworkPolicy")
    mine = [each for each in policies if selects(each["podSelector"], labels)]
    assert any(direction.capitalize() in each["policyTypes"] for each in mine), "they may do anything"
    return {port["port"] for each in mine for rule in each.get(direction, ()) for port in rule["ports"]}


def test_pods_talk_to_those_alone_whom_they_need(render):
    objects = objects_of(render("full"))
    labels = {target: job["spec"]["template"]["metadata"]["labels"] for target, job in jobs_of(objects).items()}
    labels["queue-manager"] = pod_of_queue_manager(objects)["metadata"]["labels"]
    labels["test"] = find(objects, "Pod", "streamforge-test")["metadata"]["labels"]
    dns, kafka, arangodb, kubernetes_api = 53, 9093, 8530, 6443

    assert {name: ports_of(objects, its, "egress") for name, its in labels.items()} == {
        "queue-manager": {dns, kafka, arangodb, kubernetes_api},
        "loader-producer": {dns, kafka, 80, 443},
        "loader-ws": {dns, kafka, 80, 443},
        "arango-connector": {dns, kafka, arangodb},
        "dummy-service": {dns, kafka},
        "test": {dns, "http"},
    }
    assert {name: ports_of(objects, its, "ingress") for name, its in labels.items()} == {
        "queue-manager": {"http"},
        "loader-producer": {"metrics"},
        "loader-ws": {"metrics"},
        "arango-connector": {"metrics"},
        "dummy-service": {"metrics"},
        "test": set(),
    }
    callers = find(objects, "NetworkPolicy", QUEUE_MANAGER)["spec"]["ingress"][0]["from"]
    assert any(selects(caller["podSelector"], labels["test"]) for caller in callers if "podSelector" in caller)


def test_every_exchange_is_let_through():
    policy = yaml.safe_load((CHART / "values.yaml").read_text())["networkPolicy"]
    addresses = [field.default for field in ExchangeSettings.model_fields.values()]

    assert {urlsplit(address).port or 443 for address in addresses} == set(policy["exchanges"]["ports"])


def test_what_is_watched_selects_queue_manager_and_its_jobs(render):
    objects = objects_of(render("full"))
    service, pod = find(objects, "Service", QUEUE_MANAGER), jobs_of(objects)["loader-producer"]["spec"]["template"]
    monitor = find(objects, "PodMonitor", "streamforge-jobs")["spec"]

    assert selects(find(objects, "ServiceMonitor", QUEUE_MANAGER)["spec"]["selector"], service["metadata"]["labels"])
    assert selects(service["spec"]["selector"], pod_of_queue_manager(objects)["metadata"]["labels"])
    assert selects(monitor["selector"], pod["metadata"]["labels"])
    (port,) = pod["spec"]["containers"][0]["ports"]
    assert port["name"] == monitor["podMetricsEndpoints"][0]["port"]


def test_a_kafka_that_is_made_here_is_what_the_contract_asks_for(render):
    spec = find(objects_of(render("full")), "Kafka", "kafka")["spec"]["kafka"]

    assert {name: yaml.safe_load(value) for name, value in PROMISED.items()}.items() <= spec["config"].items()
    assert all(listener["tls"] and listener["authentication"] for listener in spec["listeners"])


def test_the_chart_has_the_version_of_the_project():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert chart["version"] == chart["appVersion"] == project["version"]
