"""What an operator lays down about the pods of jobs; no request reaches any of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Plan(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SecretEntry(_Plan):
    """Where a value is that is told to nobody who need not know it."""

    secret: str
    """Name of the Secret."""
    entry: str
    """One of its entries."""


class TargetPlan(_Plan):
    """How the pods of one target run."""

    image: str
    """With its tag or digest."""
    command: Sequence[str] = ()
    """In place of the image's own."""
    environment: Mapping[str, str] = Field(default_factory=dict)
    """Beside that of all targets."""
    secrets: Mapping[str, SecretEntry] = Field(default_factory=dict)
    """Variables whose values are in Secrets: passwords of those whom this target talks to."""
    requests: Mapping[str, str] = Field(default_factory=lambda: {"cpu": "100m", "memory": "128Mi"})
    """What the scheduler keeps free, in Kubernetes' units."""
    limits: Mapping[str, str] = Field(default_factory=lambda: {"memory": "512Mi"})
    """What a pod may take; without a limit of the CPU, which would only slow it down."""
    node_selector: Mapping[str, str] = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: Sequence[Mapping[str, Any]] = ()
    """Taints that these pods bear, as Kubernetes writes them."""
    priority_class: str | None = None
    """Name of a PriorityClass."""
    active_deadline_seconds: int | None = Field(default=None, ge=1)
    """In place of that of all targets."""


class KedaPlan(_Plan):
    """How KEDA scales the connector of a live workflow."""

    most_instances: int = Field(ge=1)
    """No more than its topic has partitions."""
    lag_threshold: int = Field(ge=1)
    """Records behind per instance above which there are more of them."""
    calm_seconds: int = Field(ge=0)
    """How long fewer must have sufficed before there are fewer."""
    bootstrap_servers: str
    """As KEDA reaches the broker."""
    sasl: str | None
    """As its Kafka scaler names the mechanism; None without."""
    tls: bool
    authentication: str | None
    """TriggerAuthentication with user, password and authorities."""


class JobPlan(_Plan):
    """How all jobs of this platform run in the cluster."""

    namespace: str
    """Where they are created."""
    instance: str
    """Tells the jobs of this platform from those of another one in the same namespace."""
    targets: Mapping[str, TargetPlan]
    """By target."""
    environment: Mapping[str, str] = Field(default_factory=dict)
    """Of every pod; what is secret comes from `secrets`."""
    config_maps: Sequence[str] = ()
    """ConfigMaps whose entries are variables of every pod."""
    secrets: Sequence[str] = ()
    """Secrets whose entries are variables of every pod."""
    files_secret: str | None = None
    """Secret whose entries are files of every pod, in `/etc/streamforge`."""
    service_account: str
    """Of every pod; its token is not mounted."""
    image_pull_policy: str
    """`IfNotPresent`, `Always` or `Never`."""
    image_pull_secrets: Sequence[str] = ()
    """Secrets that open the image registry."""
    backoff_limit: int = Field(ge=0)
    """Pods of one attempt that may fail before the job has."""
    active_deadline_seconds: int = Field(ge=1)
    """How long an attempt may take in all."""
    ttl_seconds: int = Field(ge=0)
    """How long a finished job is kept, with the logs of its pods."""
    termination_grace_seconds: int = Field(ge=1)
    """How long a pod that is told to end may take."""
    start_seconds: float = Field(gt=0)
    """How long a pod may be unable to start, for want of its image or of room, before the job has failed."""
    live_instances: int = Field(ge=1)
    """Pods that share the connector's task of a live workflow; with KEDA the fewest."""
    keda: KedaPlan | None
    """None: their number is fixed."""
