"""What is created for a task's attempt, in full: a Job; for a task that KEDA scales a Deployment and a ScaledObject.

Nothing of it comes from a request but names that queue-manager has made itself: image, command, environment and service
account are the operator's. The pods keep to the Pod Security Standard "restricted".
"""

import re
from collections.abc import Mapping
from typing import Any

from queue_manager.app.pods import JobPlan, KedaPlan, TargetPlan
from queue_manager.app.ports import JobSpec
from streamforge_common.errors import FATAL_EXIT_CODE, FatalError

Manifest = dict[str, Any]

CONTAINER = "job"
"""The one container of a pod."""
MANAGED_BY, INSTANCE = "app.kubernetes.io/managed-by", "app.kubernetes.io/instance"
QUEUE_ID, TARGET = "streamforge.io/queue-id", "streamforge.io/target"
TELEMETRY_ID, ATTEMPT = "streamforge.io/telemetry-id", "streamforge.io/attempt"
JOB = "streamforge.io/job"
"""The job's own name, on its pods too."""
MANAGER = "queue-manager"
INTERRUPTED_EXIT_CODE = 143
"""Of a pod that was told to end while it worked: 128 + SIGTERM, as processes end that do not handle the signal. With 0
the Job would be complete."""

_METRICS_PORT = 9090
"""The same in every pod: each has an address of its own."""
_FILES = "/etc/streamforge"
"""Where a pod finds the files that are laid down."""
_USER = 10001
"""As in our images; nobody's on the node."""
_TMP_SIZE = "8Gi"
"""A limit and no reservation: a loader of archives has one packed file there, the largest of which are a few GB."""
_OLDEST_PROTOCOL = "2.1.0"
"""Kafka's, that KEDA speaks: newer brokers refuse the one of its own choice, 1.0.0, and all take this one."""
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def job_manifest(spec: JobSpec, plan: JobPlan) -> Manifest:
    """Build the Job of one attempt; the same specification always gives the same Job.

    Raises:
        FatalError: No image is laid down for its target, or Kubernetes would not take its names.
    """
    target = _target_of(spec, plan)
    instances = plan.live_instances if spec.shared_topic is not None else 1
    # Each instance ends by itself when the work is done, so the Job is complete when all of them have.
    several: Manifest = {} if instances == 1 else {"parallelism": instances, "completions": instances}
    pod = _pod(spec, plan, target)
    if instances > 1:
        _tell_instance(pod)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(spec, plan),
        "spec": {
            **several,
            "backoffLimit": plan.backoff_limit,
            "activeDeadlineSeconds": target.active_deadline_seconds or plan.active_deadline_seconds,
            "ttlSecondsAfterFinished": plan.ttl_seconds,
            # A pod that has not gone would be another member of its task's consumer group.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _failure_rules()},
            # The Job makes a new pod instead: only so are exit codes judged by its podFailurePolicy.
            "template": {"metadata": {"labels": _labels(spec, plan)}, "spec": {"restartPolicy": "Never", **pod}},
        },
    }


def deployment_manifest(spec: JobSpec, plan: JobPlan) -> Manifest:
    """Build the Deployment whose pods are the instances of one attempt.

    Raises:
        FatalError: As `job_manifest` does.
    """
    pod = _pod(spec, plan, _target_of(spec, plan))
    _tell_instance(pod)
    # Kubernetes would start what has ended again, whatever its exit code: it waits until it is deleted.
    pod["containers"][0]["env"].append({"name": "STAYS_WHEN_DONE", "value": "true"})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(spec, plan),
        "spec": {
            "replicas": plan.live_instances,
            # Nothing of it is ever changed, so there is nothing to go back to.
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": {INSTANCE: plan.instance, JOB: spec.name}},
            "template": {"metadata": {"labels": _labels(spec, plan)}, "spec": {"restartPolicy": "Always", **pod}},
        },
    }


def scaled_object_manifest(spec: JobSpec, topic: str, plan: JobPlan, keda: KedaPlan, owner_uid: str) -> Manifest:
    """Build what has KEDA scale that Deployment by the lag of the task's consumer group; it goes with its owner.

    The fields are those of https://keda.sh/docs/2.20/scalers/apache-kafka/ (read on 2026-11-25).
    """
    trigger: Manifest = {
        "type": "kafka",
        "metadata": {
            "bootstrapServers": keda.bootstrap_servers,
            "consumerGroup": spec.telemetry_id,
            "topic": topic,
            "lagThreshold": str(keda.lag_threshold),
            # A group without a place starts at the very first record.
            "offsetResetPolicy": "earliest",
            "version": _OLDEST_PROTOCOL,
            "tls": "enable" if keda.tls else "disable",
            "sasl": keda.sasl or "none",
        },
    }
    if keda.authentication is not None:
        trigger["authenticationRef"] = {"name": keda.authentication}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": spec.name, "uid": owner_uid}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {**_metadata(spec, plan), "ownerReferences": [owner]},
        "spec": {
            "scaleTargetRef": {"name": spec.name},
            "minReplicaCount": plan.live_instances,
            "maxReplicaCount": keda.most_instances,
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {"scaleDown": {"stabilizationWindowSeconds": keda.calm_seconds}}
                }
            },
            "triggers": [trigger],
        },
    }


def _target_of(spec: JobSpec, plan: JobPlan) -> TargetPlan:
    target = plan.targets.get(spec.target)
    if target is None:
        known = ", ".join(sorted(plan.targets))
        raise FatalError(f"no image is laid down for the target {spec.target!r}, only for {known}")
    return target


def _tell_instance(pod: Manifest) -> None:
    """Tell a pod of several its own name, by which it reports."""
    pod["containers"][0]["env"].append({"name": "INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})


def _metadata(spec: JobSpec, plan: JobPlan) -> Manifest:
    labels = _labels(spec, plan)
    _check_names(spec.name, labels)
    return {"name": spec.name, "namespace": plan.namespace, "labels": labels}


def _labels(spec: JobSpec, plan: JobPlan) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": spec.target,
        INSTANCE: plan.instance,
        "app.kubernetes.io/component": "job",
        "app.kubernetes.io/part-of": "streamforge",
        MANAGED_BY: MANAGER,
        QUEUE_ID: spec.queue_id,
        TARGET: spec.target,
        TELEMETRY_ID: spec.telemetry_id,
        ATTEMPT: str(spec.attempt),
        JOB: spec.name,
    }


def _check_names(name: str, labels: Mapping[str, str]) -> None:
    if not _DNS_LABEL.fullmatch(name):
        raise FatalError(f"{name!r} cannot name a Kubernetes Job: it must match {_DNS_LABEL.pattern}")
    for label, value in labels.items():
        if not _LABEL_VALUE.fullmatch(value):
            raise FatalError(f"{value!r} cannot be the label {label!r}: it must match {_LABEL_VALUE.pattern}")


def _failure_rules() -> list[Manifest]:
    return [
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [FATAL_EXIT_CODE]},
        },
        # What ends a pod from outside says nothing about the job and does not count against backoffLimit: a deletion, a
        # drained node or an eviction, the last two also where the pod was killed before it could end by itself.
        {
            "action": "Ignore",
            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [INTERRUPTED_EXIT_CODE]},
        },
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]


def _pod(spec: JobSpec, plan: JobPlan, target: TargetPlan) -> Manifest:
    pod: Manifest = {
        "serviceAccountName": plan.service_account,
        "automountServiceAccountToken": False,
        # Variables that Kubernetes makes of Services, such as METRICS_PORT of one named `metrics`, would be taken for
        # settings.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": plan.termination_grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec, plan, target)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": _TMP_SIZE}}],
    }
    if plan.files_secret:
        pod["volumes"].append({"name": "files", "secret": {"secretName": plan.files_secret}})
    optional = {
        "imagePullSecrets": [{"name": name} for name in plan.image_pull_secrets],
        "nodeSelector": dict(target.node_selector),
        "tolerations": [dict(toleration) for toleration in target.tolerations],
        "priorityClassName": target.priority_class,
    }
    return pod | {name: value for name, value in optional.items() if value}


def _container(spec: JobSpec, plan: JobPlan, target: TargetPlan) -> Manifest:
    container: Manifest = {
        "name": CONTAINER,
        "image": target.image,
        "imagePullPolicy": plan.image_pull_policy,
        "env": _variables(spec, plan, target),
        "ports": [{"name": "metrics", "containerPort": _METRICS_PORT}],
        # Not alive would be too much to say: a job whose broker is away waits for it, and its restart would not help.
        "readinessProbe": {"httpGet": {"path": "/health", "port": "metrics"}, "periodSeconds": 10, "timeoutSeconds": 3},
        "resources": {"requests": dict(target.requests), "limits": dict(target.limits)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  # a volume of the pod's own
    }
    if target.command:
        container["command"] = list(target.command)
    sources: list[Manifest] = [{"configMapRef": {"name": name}} for name in plan.config_maps]
    sources += [{"secretRef": {"name": name}} for name in plan.secrets]
    if sources:
        container["envFrom"] = sources
    if plan.files_secret:
        container["volumeMounts"].append({"name": "files", "mountPath": _FILES, "readOnly": True})
    return container


def _variables(spec: JobSpec, plan: JobPlan, target: TargetPlan) -> list[Manifest]:
    """Who the job is wins over everything that is laid down."""
    laid_down = {**plan.environment, **target.environment}
    own = {
        "QUEUE_ID": spec.queue_id,
        "TARGET": spec.target,
        "TELEMETRY_ID": spec.telemetry_id,
        "ATTEMPT": str(spec.attempt),
        "COMMANDS_SINCE": str(spec.commands_since_ms),
        "METRICS_PORT": str(_METRICS_PORT),
        "INTERRUPTED_EXIT_CODE": str(INTERRUPTED_EXIT_CODE),
    }
    variables: dict[str, Manifest] = {name: {"value": value} for name, value in laid_down.items()}
    variables |= {
        name: {"valueFrom": {"secretKeyRef": {"name": place.secret, "key": place.entry}}}
        for name, place in target.secrets.items()
    }
    variables |= {name: {"value": value} for name, value in own.items()}
    return [{"name": name, **source} for name, source in variables.items()]
