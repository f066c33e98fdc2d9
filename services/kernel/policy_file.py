"""Policy files in YAML: dates stay text, yes and no stay words, a key given twice is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import jsonschema_rs
import msgspec
import orjson
import yaml

from services.kernel import yaml_file
from services.kernel.errors import ConfigError

T = TypeVar("T")


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of everything that is read from a policy file."""


def json_schema(kind: type[msgspec.Struct], *, identifier: str, title: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of a file that holds one `kind`."""
    (root,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identifier,
        "title": title,
        **root,
        "$defs": components,
    }
    return dict(orjson.loads(orjson.dumps(schema)))


def read(path: Path, kind: type[T], *, schema: dict[str, Any], what: str) -> T:
    """Read one file.

    Args:
        what: how errors name it, `partners` for example.

    Raises:
        ConfigError: listing every fault of the file.
    """
    name = f"{what} `{path.name}`"
    try:
        document = yaml_file.read(path, _Loader)
    except yaml_file.UnreadableError as error:
        raise ConfigError(name, [str(error)]) from error
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    try:
        faults = [f"`/{'/'.join(map(str, e.instance_path))}`: {e.message}" for e in validator.iter_errors(document)]
    except ValueError as error:  # of a key that is a number or null
        raise ConfigError(name, [str(error)]) from error
    if faults:
        raise ConfigError(name, faults)
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(name, [str(error)]) from error


class _Loader(yaml_file.UniqueKeys):
    """Keeps dates and yes/no as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own attribute of the class
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[1] in ("int", "null", "merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
