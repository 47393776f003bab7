"""Workloads and their scale as the API server of Kubernetes has them: state and answers, no HTTP.

As in Kubernetes: a merge patch of the scale with a resourceVersion that is not the latest is answered 409 and changes
nothing; every write makes a new version; who set the number last is kept in managedFields under the name that the
query's fieldManager gave; a replica count of zero is left out of a Scale's spec.
"""

from __future__ import annotations

from typing import Any

import msgspec

Body = dict[str, Any]

REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid"}
MANAGER_LIMIT = 128


class Workload(msgspec.Struct):
    """A Deployment or StatefulSet. history: every number that it was given, the first one too."""

    namespace: str
    plural: str
    name: str
    replicas: int
    version: int
    manager: str = ""
    history: list[int] = []


class ClusterState:
    """Workloads by their place."""

    def __init__(self) -> None:
        self.workloads: dict[tuple[str, str, str], Workload] = {}
        self._version = 1_000

    @property
    def scalings(self) -> int:
        """How often a number was set anew."""
        return sum(len(one.history) - 1 for one in self.workloads.values())

    def add(self, namespace: str, plural: str, name: str, replicas: int) -> Workload:
        """A new workload."""
        self._version += 1
        made = Workload(namespace, plural, name, replicas, self._version, history=[replicas])
        self.workloads[namespace, plural, name] = made
        return made

    def touch(self, workload: Workload) -> None:
        """Something else of it changes, such as its status during a rollout."""
        self._version += 1
        workload.version = self._version

    def set(self, workload: Workload, replicas: int, manager: str) -> None:
        """Give it so many."""
        self.touch(workload)
        if replicas != workload.replicas:
            workload.replicas, workload.manager = replicas, manager
            workload.history.append(replicas)

    def patch(self, workload: Workload, body: Any, manager: str) -> tuple[int, Body]:
        """The answer to a merge patch of the scale: (HTTP status, body), after its effect."""
        fault = _invalid(body, manager)
        if fault:
            return status(422, fault)
        version = body.get("metadata", {}).get("resourceVersion", "")
        if version and version != str(workload.version):
            text = "please apply your changes to the latest version and try again"
            return status(
                409, f'Operation cannot be fulfilled on "{workload.name}": the object has been modified; {text}'
            )
        self.set(workload, body["spec"]["replicas"], manager)
        return 200, scale_of(workload)


def _invalid(body: Any, manager: str) -> str:
    replicas = body.get("spec", {}).get("replicas") if isinstance(body, dict) else None
    if not isinstance(replicas, int) or replicas < 0:
        return "spec.replicas: Invalid value: must be greater than or equal to 0"
    if len(manager) > MANAGER_LIMIT or not manager.isprintable():
        return f"fieldManager: Invalid value: may not be longer than {MANAGER_LIMIT}, printable only"
    return ""


def scale_of(workload: Workload) -> Body:
    """autoscaling/v1 Scale."""
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": _metadata(workload),
        "spec": {"replicas": workload.replicas} if workload.replicas else {},
        "status": {"replicas": workload.replicas, "selector": f"app={workload.name}"},
    }


def object_of(workload: Workload) -> Body:
    """meta/v1 PartialObjectMetadata."""
    managed = [{"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "apps/v1"}]
    if workload.manager:
        managed.append({"manager": workload.manager, "operation": "Update", "subresource": "scale"})
    metadata = {**_metadata(workload), "managedFields": managed}
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}


def status(code: int, message: str) -> tuple[int, Body]:
    """meta/v1 Status: why a call failed."""
    said = {"status": "Failure", "message": message, "reason": REASONS.get(code, ""), "code": code}
    return code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, **said}


def _metadata(workload: Workload) -> Body:
    return {"name": workload.name, "namespace": workload.namespace, "resourceVersion": str(workload.version)}
