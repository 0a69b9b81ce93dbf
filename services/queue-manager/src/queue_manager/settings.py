"""What queue-manager is told by its environment."""

import ipaddress
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from queue_manager.app.pods import JobPlan, KedaPlan, TargetPlan
from streamforge_common.settings import ArangoSettings, KafkaSettings, LogSettings, OutageSettings, SettingsGroup


def _from_json(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


_FROM_JSON = BeforeValidator(_from_json)
Names = Annotated[list[str], NoDecode, _FROM_JSON]
Variables = Annotated[dict[str, str], NoDecode, _FROM_JSON]
Targets = Annotated[dict[str, TargetPlan], NoDecode, _FROM_JSON]


class Settings(LogSettings, KafkaSettings, ArangoSettings, OutageSettings):
    """All of it."""

    api_host: str = "127.0.0.1"
    """Address to listen on; on others than loopback nothing starts without an API key."""
    api_port: int = Field(default=8080, ge=1, le=65535)
    """Port of the REST API."""
    streamforge_admin_key_file: Path | None = None
    """File that holds an admin's API key: the first one, with which others are made."""
    stop_grace_seconds: float = Field(default=60, gt=0)
    """Seconds that the jobs of a stopped workflow may take to end by themselves."""
    max_running_workflows: int = Field(default=16, ge=1)
    """Workflows whose jobs run at once, per replica; the others stay `pending` until one ends. Two processes of some
    70 MB each per workflow; more wins nothing where the exchange's limit is shared."""
    data_topic_partitions: int = Field(default=1, ge=1, le=1_000)
    """Partitions of each data topic."""
    data_topic_retention_hours: float = Field(default=168, gt=0)
    """How long a data topic keeps its records after its workflow has ended, for a retry or a second look."""
    launcher: Literal["local", "kubernetes"] = "local"
    """What runs jobs: the job runner of an embedded platform, or a cluster; each has settings of its own below."""

    @property
    def is_for_this_machine_only(self) -> bool:
        """Whether nobody else can reach the API."""
        try:
            return ipaddress.ip_address(self.api_host).is_loopback
        except ValueError:
            return self.api_host == "localhost"


_KEDA_SASL = {"PLAIN": "plaintext", "SCRAM-SHA-256": "scram_sha256", "SCRAM-SHA-512": "scram_sha512"}
"""Kafka's mechanisms in the words of KEDA's Kafka scaler."""


class LocalLauncherSettings(SettingsGroup):
    """With `LAUNCHER=local`."""

    job_runner_url: str
    """Where the embedded platform's job runner listens."""
    job_runner_token: SecretStr
    """What it asks for as a bearer token."""


class KubernetesLauncherSettings(SettingsGroup):
    """With `LAUNCHER=kubernetes`: what the operator lays down about jobs; no request reaches any of it."""

    kubeconfig: str | None = None
    """File that says where the cluster is; without it the cluster that this process runs in."""
    kubernetes_namespace: str = "default"
    """Where jobs are created."""
    kubernetes_instance: str = "streamforge"
    """Tells the jobs of this platform from those of another one in the namespace; Helm's release name."""
    kubernetes_job_targets: Targets
    """JSON: by target its `image`, and what else `TargetPlan` knows."""
    kubernetes_job_environment: Variables = Field(default_factory=dict)
    """JSON object: variables of every pod, such as the broker's address; nothing secret."""
    kubernetes_job_config_maps: Names = Field(default_factory=list)
    """JSON list: ConfigMaps whose entries are variables of every pod."""
    kubernetes_job_secrets: Names = Field(default_factory=list)
    """JSON list: Secrets whose entries are variables of every pod."""
    kubernetes_job_files_secret: str | None = None
    """Secret whose entries are files of every pod, in `/etc/streamforge`: what `KAFKA_SSL_CAFILE` names."""
    kubernetes_job_service_account: str = "default"
    """Of every pod; its token is not mounted, so it needs no rights."""
    kubernetes_job_image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """As Kubernetes names it."""
    kubernetes_job_image_pull_secrets: Names = Field(default_factory=list)
    """JSON list: Secrets that open the image registry."""
    kubernetes_job_backoff_limit: int = Field(default=6, ge=0)
    """Pods of one attempt that may fail; as many as the job runner restarts a process."""
    kubernetes_job_active_deadline_seconds: int = Field(default=7 * 24 * 3600, ge=1)
    """How long an attempt may take in all; a week is more than the largest archive takes, and ends what hangs."""
    kubernetes_job_ttl_seconds: int = Field(default=24 * 3600, ge=0)
    """How long a finished job is kept, with the logs of its pods."""
    kubernetes_job_termination_grace_seconds: int = Field(default=30, ge=1)
    """How long a pod that is told to end may take; jobs need some 10 s at most."""
    kubernetes_job_start_seconds: float = Field(default=600, gt=0)
    """How long a pod may be unable to start, for want of its image or of room, before its workflow fails: nodes that an
    autoscaler adds take minutes."""
    kubernetes_live_instances: int = Field(default=1, ge=1)
    """Pods that share the connector's task of a live workflow; with KEDA the fewest. Never more than the topic has
    partitions (`DATA_TOPIC_PARTITIONS`)."""
    kubernetes_keda: bool = False
    """Whether KEDA scales these pods by the lag of their consumer group; it has to be installed."""
    kubernetes_keda_most_instances: int = Field(default=10, ge=1)
    """The most pods; never more than the topic has partitions."""
    kubernetes_keda_lag_threshold: int = Field(default=10_000, ge=1)
    """Records behind per pod above which there are more pods: some seconds of work of one."""
    kubernetes_keda_calm_seconds: int = Field(default=300, ge=0, le=3_600)
    """How long fewer pods must have sufficed before there are fewer: each change holds up all of them for a moment."""
    kubernetes_keda_authentication: str | None = None
    """TriggerAuthentication by which KEDA is let in by the broker: `username` and `password` with SASL, `ca` with
    authorities of one's own."""

    def plan(self, settings: Settings) -> JobPlan:
        """Return it as the launcher takes it; `settings` tell of the broker and of the partitions of topics."""
        return JobPlan(
            namespace=self.kubernetes_namespace,
            instance=self.kubernetes_instance,
            targets=self.kubernetes_job_targets,
            environment=self.kubernetes_job_environment,
            config_maps=self.kubernetes_job_config_maps,
            secrets=self.kubernetes_job_secrets,
            files_secret=self.kubernetes_job_files_secret,
            service_account=self.kubernetes_job_service_account,
            image_pull_policy=self.kubernetes_job_image_pull_policy,
            image_pull_secrets=self.kubernetes_job_image_pull_secrets,
            backoff_limit=self.kubernetes_job_backoff_limit,
            active_deadline_seconds=self.kubernetes_job_active_deadline_seconds,
            ttl_seconds=self.kubernetes_job_ttl_seconds,
            termination_grace_seconds=self.kubernetes_job_termination_grace_seconds,
            start_seconds=self.kubernetes_job_start_seconds,
            live_instances=min(self.kubernetes_live_instances, settings.data_topic_partitions),
            keda=self._keda_plan(settings) if self.kubernetes_keda else None,
        )

    def _keda_plan(self, settings: Settings) -> KedaPlan:
        most = max(self.kubernetes_keda_most_instances, self.kubernetes_live_instances)
        has_sasl = settings.kafka_security_protocol.startswith("SASL")
        return KedaPlan(
            most_instances=min(most, settings.data_topic_partitions),
            lag_threshold=self.kubernetes_keda_lag_threshold,
            calm_seconds=self.kubernetes_keda_calm_seconds,
            bootstrap_servers=settings.kafka_bootstrap_servers,
            sasl=_KEDA_SASL[settings.kafka_sasl_mechanism] if has_sasl else None,
            tls=settings.kafka_security_protocol.endswith("SSL"),
            authentication=self.kubernetes_keda_authentication,
        )
