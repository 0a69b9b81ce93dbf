"""Jobs that KEDA scales: a Deployment whose pods are the instances of one task, and the ScaledObject of it."""

import msgspec
from kubernetes import client
from pydantic import ValidationError

from queue_manager.adapters.kubernetes.calls import Page, body_of, create, delete, list_all, send, transiently
from queue_manager.adapters.kubernetes.manifest import (
    QUEUE_ID,
    Manifest,
    deployment_manifest,
    scaled_object_manifest,
)
from queue_manager.adapters.kubernetes.sight import KubernetesDeployment
from queue_manager.app.pods import JobPlan, KedaPlan
from queue_manager.app.ports import JobSpec, NameTakenError
from streamforge_common.errors import FatalError

_KEDA = ("keda.sh", "v1alpha1")


class ScaledJobs:
    """Creates, lists and deletes them."""

    def __init__(self, api: client.ApiClient, plan: JobPlan, keda: KedaPlan) -> None:
        self._apps, self._custom = client.AppsV1Api(api), client.CustomObjectsApi(api)
        self._plan = plan
        self._keda = keda

    async def launch(self, spec: JobSpec, topic: str) -> None:
        """Create a Deployment and what scales it; whoever dies in between is followed by one who finds the first.

        Raises:
            NameTakenError: A Deployment of that name is another workflow's.
            FatalError: The cluster refuses one of them.
        """
        manifest = deployment_manifest(spec, self._plan)
        created = await create(f"the deployment {spec.name!r}", self._create, manifest)
        if created is not None:
            deployment = msgspec.json.decode(created, type=KubernetesDeployment)
        else:
            deployment = await transiently(self._read, spec.name)
            if (owner := deployment.metadata.labels.get(QUEUE_ID)) != spec.queue_id:
                raise NameTakenError(f"deployment {spec.name!r} exists and belongs to {owner!r}")
        scaled = scaled_object_manifest(spec, topic, self._plan, self._keda, deployment.metadata.uid)
        await create(f"the scaled object {spec.name!r}", self._create_scaled_object, scaled)

    async def deployments(self, selector: str) -> list[KubernetesDeployment]:
        """List the Deployments."""
        call = self._apps.list_namespaced_deployment
        _, found = await transiently(list_all, Page[KubernetesDeployment], call, self._plan.namespace, selector)
        return found

    async def delete(self, name: str) -> None:
        """Have a Deployment deleted when its pods are gone; what scales it goes with it."""
        await delete(self._delete, name)

    # --- on a thread ----------------------------------------------------------------------------------------------

    def _create(self, manifest: Manifest) -> bytes:
        try:
            body = client.V1Deployment.model_validate(manifest)
        except ValidationError as exc:
            raise FatalError(f"what is laid down for jobs makes no Deployment: {exc}") from exc
        call = self._apps.create_namespaced_deployment
        return body_of(send(call, self._plan.namespace, body, field_validation="Strict"))

    def _create_scaled_object(self, manifest: Manifest) -> bytes:
        call = self._custom.create_namespaced_custom_object
        return body_of(send(call, *_KEDA, self._plan.namespace, "scaledobjects", manifest, field_validation="Strict"))

    def _read(self, name: str) -> KubernetesDeployment:
        answer = send(self._apps.read_namespaced_deployment, name, self._plan.namespace)
        return msgspec.json.decode(body_of(answer), type=KubernetesDeployment)

    def _delete(self, name: str) -> None:
        call = self._apps.delete_namespaced_deployment
        body_of(send(call, name, self._plan.namespace, propagation_policy="Foreground"))
