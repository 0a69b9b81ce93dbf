"""A namespace where only restricted pods may run, and a service account with the rights that queue-manager asks for."""

import asyncio
import base64
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from queue_manager.adapters.kubernetes.launcher import KubernetesLauncher
from queue_manager.app.ports import Job
from queue_manager.settings import KubernetesLauncherSettings, Settings

IMAGE = os.environ.get("STREAMFORGE_TEST_IMAGE", "python:3.11-slim-bookworm")  # noqa: TID251
_ANSWERS_WITHIN_S = 5
_HAPPENS_WITHIN_S = 100
_ACCOUNT = "queue-manager"
RULES = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "watch", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
]
"""As docs/operations.md has them: all that queue-manager may."""
KEDA_RULES = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create", "get", "list", "delete"]},
    {"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": ["create"]},
]
"""What it may besides where KEDA scales live connectors."""


@pytest.fixture(scope="session")
def administrator() -> client.ApiClient:
    """Reaches the cluster with the rights of whoever runs the tests."""
    return open_administrator()


def open_administrator() -> client.ApiClient:
    """Reach the cluster of KUBECONFIG; without one whoever asks is skipped."""
    kubeconfig = os.environ.get("KUBECONFIG")  # noqa: TID251
    if not kubeconfig:
        pytest.skip("KUBECONFIG names no cluster")
    settings = client.Configuration()
    config.load_kube_config(kubeconfig, client_configuration=settings, persist_config=False)
    settings.retries = False
    api = client.ApiClient(settings)
    try:
        client.VersionApi(api).get_code(_request_timeout=_ANSWERS_WITHIN_S)
    except Exception as exc:  # whatever is wrong with it
        pytest.skip(f"the cluster of KUBECONFIG does not answer: {exc}")
    return api


@contextmanager
def restricted_namespace(administrator: client.ApiClient) -> Iterator[str]:
    """Have a namespace that takes restricted pods only, until the end."""
    name = f"streamforge-test-{secrets.token_hex(3)}"
    core = client.CoreV1Api(administrator)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    core.create_namespace(model(client.V1Namespace, {"metadata": {"name": name, "labels": labels}}))
    try:
        yield name
    finally:
        core.delete_namespace(name)


@pytest.fixture(scope="session")
def namespace(administrator: client.ApiClient) -> Iterator[str]:
    with restricted_namespace(administrator) as name:
        yield name


@pytest.fixture(scope="session")
def kubeconfig(administrator: client.ApiClient, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the service account that the launcher has."""
    core, rbac = client.CoreV1Api(administrator), client.RbacAuthorizationV1Api(administrator)
    metadata = {"metadata": {"name": _ACCOUNT}}
    core.create_namespaced_service_account(namespace, model(client.V1ServiceAccount, metadata))
    rbac.create_namespaced_role(namespace, model(client.V1Role, {**metadata, "rules": RULES}))
    binding = {
        **metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": _ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": namespace}],
    }
    rbac.create_namespaced_role_binding(namespace, model(client.V1RoleBinding, binding))
    request = model(client.AuthenticationV1TokenRequest, {"spec": {"audiences": [], "expirationSeconds": 3600}})
    token = core.create_namespaced_service_account_token(_ACCOUNT, namespace, request).status.token
    settings = administrator.configuration
    cluster = {"server": settings.host}
    if settings.ssl_ca_cert:
        cluster["certificate-authority-data"] = base64.b64encode(Path(settings.ssl_ca_cert).read_bytes()).decode()
    path = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    contents = {
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"token": token}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    path.write_text(yaml.safe_dump(contents))
    return str(path)


Launching = Callable[..., Any]


@pytest.fixture
def launching(kubeconfig: str, namespace: str) -> Launching:
    """Make a launcher whose targets run as they are described: `launching(target={"command": […]}, setting=…)`."""

    @asynccontextmanager
    async def launching(targets: dict[str, dict[str, Any]], **settings: Any) -> AsyncIterator[KubernetesLauncher]:
        laid_down = {target: {"image": IMAGE, **described} for target, described in targets.items()}
        plan = KubernetesLauncherSettings(
            kubernetes_namespace=namespace, kubernetes_job_targets=laid_down, **settings
        ).plan(Settings())
        async with KubernetesLauncher(plan, kubeconfig) as launcher:
            yield launcher

    return launching


async def logged(launcher: KubernetesLauncher, name: str, text: bytes) -> None:
    """Return once a job has written this."""
    async with asyncio.timeout(_HAPPENS_WITHIN_S):
        while await launcher.logs(name) != text:  # noqa: ASYNC110  # nothing tells of a log
            await asyncio.sleep(0.2)


async def seen(launcher: KubernetesLauncher, name: str, holds: Callable[[Job | None], bool]) -> Job | None:
    """Look until something holds of a job; None is a job that is not there."""
    async with asyncio.timeout(_HAPPENS_WITHIN_S):
        while True:
            job = next((job for job in await launcher.jobs() if job.name == name), None)
            if holds(job):
                return job
            await asyncio.sleep(0.2)


def model(kind: Any, manifest: dict[str, Any]) -> Any:
    """Make an object of the client's."""
    return kind.model_validate(manifest)
