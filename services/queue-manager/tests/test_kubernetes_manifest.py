"""The Job that is created: the whole of it, as the API server gets it."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from kubernetes import client

from queue_manager.adapters.kubernetes.manifest import deployment_manifest, job_manifest, scaled_object_manifest
from queue_manager.app.pods import JobPlan, TargetPlan
from queue_manager.app.ports import JobSpec
from queue_manager.settings import KubernetesLauncherSettings, Settings
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
CONNECTOR = JobSpec(
    name="arango-connector-a1b2c3-1",
    queue_id="wf-btcusdt-ws_trades-20240801-a1b2c3",
    target="arango-connector",
    telemetry_id="arango-connector__a1b2c3",
    attempt=1,
    commands_since_ms=1_722_500_000_000,
    shared_topic="wf-btcusdt-ws_trades-20240801-a1b2c3-data",
)
LOADER = {"image": "registry.example/streamforge/loader-producer:0.1.0"}


def plan(**environment) -> JobPlan:
    return KubernetesLauncherSettings(kubernetes_job_targets={"loader-producer": LOADER}, **environment).plan(
        Settings()
    )


def live_plan(partitions=4, **environment) -> JobPlan:
    targets = {"arango-connector": {"image": "connector:1"}}
    settings = KubernetesLauncherSettings(kubernetes_job_targets=targets, **environment)
    return settings.plan(Settings(kafka_bootstrap_servers="kafka:9092", data_topic_partitions=partitions))


def variables_of(manifest):
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


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
                    "streamforge.io/job": "loader-producer-a1b2c3-1",
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
                            "streamforge.io/job": "loader-producer-a1b2c3-1",
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
    manifest = job_manifest(SPEC, settings.plan(Settings()))
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


@pytest.mark.parametrize(("wanted", "partitions", "instances"), [(3, 4, 3), (8, 2, 2), (1, 4, None), (3, 1, None)])
def test_without_keda_a_live_connector_is_a_job_of_a_fixed_number_of_instances(wanted, partitions, instances):
    plan = live_plan(partitions, kubernetes_live_instances=wanted)
    manifest = job_manifest(CONNECTOR, plan)

    assert manifest["spec"].get("parallelism") == manifest["spec"].get("completions") == instances
    assert ("INSTANCE" in variables_of(manifest)) == (instances is not None)
    assert "parallelism" not in job_manifest(replace(CONNECTOR, shared_topic=None), plan)["spec"]


def test_with_keda_a_live_connector_is_a_deployment_whose_pods_say_which_they_are_and_stay():
    plan = live_plan(kubernetes_keda=True)
    manifest = deployment_manifest(CONNECTOR, plan)
    job = job_manifest(CONNECTOR, plan)
    pod, jobs_pod = (it["spec"]["template"]["spec"] for it in (manifest, job))
    sent = client.ApiClient().sanitize_for_serialization(client.V1Deployment.model_validate(manifest))

    assert sent == manifest
    assert manifest["metadata"] == job["metadata"]
    selector = manifest["spec"]["selector"]["matchLabels"]
    assert selector.items() <= manifest["spec"]["template"]["metadata"]["labels"].items()
    assert selector["streamforge.io/job"] == CONNECTOR.name
    assert variables_of(manifest) == {
        **variables_of(job),
        "INSTANCE": {"fieldRef": {"fieldPath": "metadata.name"}},
        "STAYS_WHEN_DONE": "true",
    }
    assert (pod["restartPolicy"], jobs_pod["restartPolicy"]) == ("Always", "Never")
    different = {"restartPolicy", "containers"}
    assert {name: it for name, it in pod.items() if name not in different} == {
        name: it for name, it in jobs_pod.items() if name not in different
    }


def test_keda_scales_by_the_lag_of_the_tasks_group_between_the_bounds():
    plan = live_plan(3, kubernetes_keda=True, kubernetes_live_instances=2)
    assert plan.keda is not None
    manifest = scaled_object_manifest(CONNECTOR, CONNECTOR.shared_topic, plan, plan.keda, "0123")

    assert manifest["metadata"]["labels"] == job_manifest(CONNECTOR, plan)["metadata"]["labels"]
    assert manifest == snapshot(
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {
                "name": "arango-connector-a1b2c3-1",
                "namespace": "default",
                "labels": {
                    "app.kubernetes.io/name": "arango-connector",
                    "app.kubernetes.io/instance": "streamforge",
                    "app.kubernetes.io/component": "job",
                    "app.kubernetes.io/part-of": "streamforge",
                    "app.kubernetes.io/managed-by": "queue-manager",
                    "streamforge.io/queue-id": "wf-btcusdt-ws_trades-20240801-a1b2c3",
                    "streamforge.io/target": "arango-connector",
                    "streamforge.io/telemetry-id": "arango-connector__a1b2c3",
                    "streamforge.io/attempt": "1",
                    "streamforge.io/job": "arango-connector-a1b2c3-1",
                },
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "Deployment", "name": "arango-connector-a1b2c3-1", "uid": "0123"}
                ],
            },
            "spec": {
                "scaleTargetRef": {"name": "arango-connector-a1b2c3-1"},
                "minReplicaCount": 2,
                "maxReplicaCount": 3,
                "advanced": {
                    "horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}}}
                },
                "triggers": [
                    {
                        "type": "kafka",
                        "metadata": {
                            "bootstrapServers": "kafka:9092",
                            "consumerGroup": "arango-connector__a1b2c3",
                            "topic": "wf-btcusdt-ws_trades-20240801-a1b2c3-data",
                            "lagThreshold": "10000",
                            "offsetResetPolicy": "earliest",
                            "version": "2.1.0",
                            "tls": "disable",
                            "sasl": "none",
                        },
                    }
                ],
            },
        }
    )


def test_keda_is_let_in_by_the_broker_as_it_asks():
    targets = {"arango-connector": {"image": "connector:1"}}
    cluster = KubernetesLauncherSettings(
        kubernetes_job_targets=targets, kubernetes_keda=True, kubernetes_keda_authentication="kafka"
    )
    settings = Settings(kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="SCRAM-SHA-512")
    plan = cluster.plan(settings)
    manifest = scaled_object_manifest(CONNECTOR, CONNECTOR.shared_topic, plan, plan.keda, "0123")
    (trigger,) = manifest["spec"]["triggers"]

    assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("scram_sha512", "enable")
    assert trigger["authenticationRef"] == {"name": "kafka"}


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
