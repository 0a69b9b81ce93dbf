"""Make what kubeconform checks with from the API's own description: kubernetes_schemas.py VERSION FOLDER.

The description comes with the Go module of that version. Each kind gets a file of its own, complete in itself and
closed: a field that the API does not know is an error.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

_LOOSE = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
}
"""Described as strings, and written as numbers too."""


def main(version: str, folder: Path) -> None:
    """Write the schemas of one version, all or none."""
    module = subprocess.run(
        ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"], capture_output=True, check=True
    )
    described = Path(json.loads(module.stdout)["Dir"]) / "api/openapi-spec/swagger.json"
    definitions: dict[str, Schema] = json.loads(described.read_text())["definitions"] | _LOOSE
    fresh = folder.with_suffix(".new")
    fresh.mkdir(parents=True, exist_ok=True)
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            words = [kind["kind"], kind["group"].partition(".")[0], kind["version"]]
            file = fresh / f"{'-'.join(filter(None, words)).lower()}.json"
            file.write_text(json.dumps(complete({"$ref": name}, definitions, frozenset())))
    fresh.rename(folder)


def complete(schema: Schema, definitions: dict[str, Schema], within: frozenset[str]) -> Schema:
    """Put definitions in place of references to them; one that refers to itself takes anything there."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {} if name in within else complete(definitions[name], definitions, within | {name})
    closed = dict(schema)
    for word in ("items", "additionalProperties"):
        if isinstance(closed.get(word), dict):
            closed[word] = complete(closed[word], definitions, within)
    if "properties" in closed:
        fields = closed["properties"].items()
        closed["properties"] = {name: complete(field, definitions, within) for name, field in fields}
        closed["additionalProperties"] = False
    return closed


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
