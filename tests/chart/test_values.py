"""docs/helm-values.md is the comments and defaults of values.yaml, and what the schema says of a target."""

import json
from collections.abc import Iterator

import yaml
from inline_snapshot import external_file

from tests.chart.conftest import CHART

PAGE = """# The chart's values

Written by `pytest --inline-snapshot=fix tests/chart/test_values.py` from
[values.yaml](../deploy/helm/streamforge/values.yaml), and held equal by that test. How they are used is in
[kubernetes.md](kubernetes.md).

| value | default | meaning |
|---|---|---|
"""
TARGET = "jobs.targets.<target>"


def test_every_value_is_in_the_documentation():
    schema = json.loads((CHART / "values.schema.json").read_text())
    rows = [f"| `{path}` | {default} | {meaning} |" for path, default, meaning in values()]
    for name, field in schema["definitions"]["target"]["properties"].items():
        rows.append(f"| `{TARGET}.{name}` | - | {field['description']} |")

    assert PAGE + "\n".join(rows) + "\n" == external_file("../../docs/helm-values.md", format=".txt")


def test_the_schema_knows_every_value_and_no_other():
    schema = json.loads((CHART / "values.schema.json").read_text())

    assert {path for path, _, _ in values()} == set(paths(schema["properties"])) - {"global"}


def values() -> Iterator[tuple[str, str, str]]:
    """Yield (path, default, meaning) of every value that has a comment, which those without have none below them."""
    text = (CHART / "values.yaml").read_text()
    yield from described(yaml.compose(text), text.splitlines(), ())


def described(node: yaml.MappingNode, lines: list[str], above: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for key, value in node.value:
        path = (*above, key.value)
        if meaning := comment_above(lines, key.start_mark.line):
            default = json.dumps(yaml.safe_load(yaml.serialize(value)), ensure_ascii=False)
            yield ".".join(path), f"`{default}`", meaning
        else:
            assert isinstance(value, yaml.MappingNode), f"{'.'.join(path)} has no comment"
            yield from described(value, lines, path)


def comment_above(lines: list[str], line: int) -> str:
    """Return the block of comments right above a line."""
    first = line
    while lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(each.strip().lstrip("# ") for each in lines[first:line])


def paths(properties: dict, above: str = "") -> Iterator[str]:
    """Yield the paths of a schema's leaves: what is not an object of named properties."""
    for name, field in properties.items():
        if "properties" in field:
            yield from paths(field["properties"], f"{above}{name}.")
        else:
            yield f"{above}{name}"
