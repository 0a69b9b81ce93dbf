"""The Job that is created: the whole of it, as the API server gets it."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from kubernetes import client

from queue_manager.adapters.kubernetes.manifest import job_manifest
from queue_manager.app.pods import JobPlan, TargetPlan
from queue_manager.app.ports import JobSpec
from queue_manager.settings import KubernetesLauncherSettings
from streamforge_common.errors import FatalError
from streamforge_common.ids import make_job_name, make_queue_id, make_telemetry_id

SPEC = JobSpec(
    name="loader-producer-a1b2c3-1",
    queue_id="wf-btcusdt-api_candles_5m-20240801-a1b2c3",
    target="loader-producer",
    telemetry_id="loader-producer__a1b2c3",
    attempt=1,
    commands_since_ms=1_722_500_000_000,
)
LOADER = {"image": "registry.example/streamforge/loader-producer:0.1.0"}


def plan(**environment) -> JobPlan:
    return KubernetesLauncherSettings(kubernetes_job_targets={"loader-producer": LOADER}, **environment).plan()


def as_the_client_sends_it(manifest):
    return client.ApiClient().sanitize_for_serialization(client.V1Job.model_validate(manifest))


def test_a_job_is_this_and_nothing_else():
    manifest = job_manifest(SPEC, plan(kubernetes_job_secrets=["streamforge-jobs"]))

    assert manifest == snapshot(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": "loader-producer-a1b2c3-1",
                "namespace": "default",
                "labels": {
                    "app.kubernetes.io/name": "loader-producer",
                    "app.kubernetes.io/instance": "streamforge",
                    "app.kubernetes.io/component": "job",
                    "app.kubernetes.io/part-of": "streamforge",
                    "app.kubernetes.io/managed-by": "queue-manager",
                    "streamforge.io/queue-id": "wf-btcusdt-api_candles_5m-20240801-a1b2c3",
                    "streamforge.io/target": "loader-producer",
                    "streamforge.io/telemetry-id": "loader-producer__a1b2c3",
                    "streamforge.io/attempt": "1",
                },
            },
            "spec": {
                "backoffLimit": 6,
                "activeDeadlineSeconds": 604800,
                "ttlSecondsAfterFinished": 86400,
                "podReplacementPolicy": "Failed",
                "podFailurePolicy": {
                    "rules": [
                        {
                            "action": "FailJob",
                            "onExitCodes": {"containerName": "job", "operator": "In", "values": [42]},
                        },
                        {
                            "action": "Ignore",
                            "onExitCodes": {"containerName": "job", "operator": "In", "values": [143]},
                        },
                        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    ]
                },
                "template": {
                    "metadata": {
                        "labels": {
                            "app.kubernetes.io/name": "loader-producer",
                            "app.kubernetes.io/instance": "streamforge",
                            "app.kubernetes.io/component": "job",
                            "app.kubernetes.io/part-of": "streamforge",
                            "app.kubernetes.io/managed-by": "queue-manager",
                            "streamforge.io/queue-id": "wf-btcusdt-api_candles_5m-20240801-a1b2c3",
                            "streamforge.io/target": "loader-producer",
                            "streamforge.io/telemetry-id": "loader-producer__a1b2c3",
                            "streamforge.io/attempt": "1",
                        }
                    },
                    "spec": {
                        "restartPolicy": "Never",
                        "serviceAccountName": "default",
                        "automountServiceAccountToken": False,
                        "enableServiceLinks": False,
                        "terminationGracePeriodSeconds": 30,
                        "securityContext": {
                            "runAsNonRoot": True,
                            "runAsUser": 10001,
                            "runAsGroup": 10001,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [
                            {
                                "name": "job",
                                "image": "registry.example/streamforge/loader-producer:0.1.0",
                                "imagePullPolicy": "IfNotPresent",
                                "env": [
                                    {"name": "QUEUE_ID", "value": "wf-btcusdt-api_candles_5m-20240801-a1b2c3"},
                                    {"name": "TARGET", "value": "loader-producer"},
                                    {"name": "TELEMETRY_ID", "value": "loader-producer__a1b2c3"},
                                    {"name": "ATTEMPT", "value": "1"},
                                    {"name": "COMMANDS_SINCE", "value": "1722500000000"},
                                    {"name": "METRICS_PORT", "value": "9090"},
                                    {"name": "INTERRUPTED_EXIT_CODE", "value": "143"},
                                ],
                                "ports": [{"name": "metrics", "containerPort": 9090}],
                                "readinessProbe": {
                                    "httpGet": {"path": "/health", "port": "metrics"},
                                    "periodSeconds": 10,
                                    "timeoutSeconds": 3,
                                },
                                "resources": {
                                    "requests": {"cpu": "100m", "memory": "128Mi"},
                                    "limits": {"memory": "512Mi"},
                                },
                                "securityContext": {
                                    "allowPrivilegeEscalation": False,
                                    "readOnlyRootFilesystem": True,
                                    "capabilities": {"drop": ["ALL"]},
                                },
                                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                                "envFrom": [{"secretRef": {"name": "streamforge-jobs"}}],
                            }
                        ],
                        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "8Gi"}}],
                    },
                },
            },
        }
    )
    assert as_the_client_sends_it(manifest) == manifest


def test_what_the_operator_lays_down_is_in_it():
    settings = KubernetesLauncherSettings(
        kubernetes_namespace="trading",
        kubernetes_job_targets={
            "loader-producer": LOADER
            | {
                "command": ["loader-producer"],
                "environment": {"LOG_LEVEL": "DEBUG", "KAFKA_SASL_PASSWORD": "in the clear"},
                "secrets": {
                    "KAFKA_SASL_PASSWORD": {"secret": "loader", "entry": "password"},
                    "QUEUE_ID": {"secret": "forged", "entry": "id"},
                },
                "requests": {"cpu": "2", "memory": "1Gi"},
                "limits": {"memory": "4Gi", "nvidia.com/gpu": "1"},
                "node_selector": {"pool": "loaders"},
                "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
                "priority_class": "batch",
                "active_deadline_seconds": 60,
            }
        },
        kubernetes_job_environment={"ARANGO_URL": "http://arangodb:8529", "LOG_LEVEL": "INFO", "QUEUE_ID": "forged"},
        kubernetes_job_config_maps=["streamforge"],
        kubernetes_job_files_secret="kafka-ca",
        kubernetes_job_image_pull_secrets=["registry"],
        kubernetes_job_service_account="streamforge-jobs",
    )
    manifest = job_manifest(SPEC, settings.plan())
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert as_the_client_sends_it(manifest) == manifest
    assert manifest["metadata"]["namespace"] == "trading"
    assert manifest["spec"]["activeDeadlineSeconds"] == 60
    assert {name: pod.get(name) for name in ("nodeSelector", "tolerations", "priorityClassName")} == {
        "nodeSelector": {"pool": "loaders"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "batch",
    }
    assert (pod["serviceAccountName"], pod["imagePullSecrets"]) == ("streamforge-jobs", [{"name": "registry"}])
    assert container["command"] == ["loader-producer"]
    assert container["resources"]["limits"] == {"memory": "4Gi", "nvidia.com/gpu": "1"}
    assert container["envFrom"] == [{"configMapRef": {"name": "streamforge"}}]
    assert pod["volumes"][1:] == [{"name": "files", "secret": {"secretName": "kafka-ca"}}]
    assert container["volumeMounts"][1:] == [{"name": "files", "mountPath": "/etc/streamforge", "readOnly": True}]
    variables = {each.pop("name"): each for each in container["env"]}
    assert variables["LOG_LEVEL"] == {"value": "DEBUG"}
    assert variables["ARANGO_URL"] == {"value": "http://arangodb:8529"}
    assert variables["KAFKA_SASL_PASSWORD"] == {"valueFrom": {"secretKeyRef": {"name": "loader", "key": "password"}}}
    assert variables["QUEUE_ID"] == {"value": SPEC.queue_id}


def test_a_target_without_an_image_is_refused():
    with pytest.raises(FatalError, match="'gnn-trainer', only for loader-producer"):
        job_manifest(JobSpec("a", "wf-a", "gnn-trainer", "gnn-trainer__a", 1, 0), plan())


@pytest.mark.parametrize("name", ["Loader-1", "loader_1", "-loader", "l" * 64, ""])
def test_a_name_that_kubernetes_would_not_take_is_refused(name):
    with pytest.raises(FatalError, match="cannot name a Kubernetes Job"):
        job_manifest(JobSpec(name, "wf-a", "loader-producer", "loader-producer__a", 1, 0), plan())


@given(
    st.from_regex(r"[A-Z0-9][A-Z0-9_-]{1,29}", fullmatch=True),
    st.sampled_from(["api_candles_5m", "api_agg_trades", "poll_open_interest", "ws_order_book"]),
    st.sampled_from(["loader-producer", "arango-connector", "graph-builder", "gnn-trainer", "dummy-service"]),
    st.from_regex(r"[0-9a-f]{6}(-[1-9][0-9]{0,2})?", fullmatch=True),
    st.integers(1, 999),
)
def test_every_name_of_the_contract_is_one_that_kubernetes_takes(symbol, data_type, target, suffix, attempt):
    queue_id = make_queue_id(f"{symbol}-{data_type}", date(2024, 8, 1), suffix[:6])
    telemetry_id = make_telemetry_id(target, suffix)
    spec = JobSpec(make_job_name(telemetry_id, attempt), queue_id, target, telemetry_id, attempt, 0)
    laid_down = plan().model_copy(update={"targets": {target: TargetPlan.model_validate(LOADER)}})

    assert job_manifest(spec, laid_down) == job_manifest(spec, laid_down)
