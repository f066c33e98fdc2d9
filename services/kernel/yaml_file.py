"""YAML files: a key given twice is refused, and whatever keeps a file from being read is said in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class UniqueKeys(yaml.SafeLoader):
    """A safe loader for which a key given twice is an error: otherwise the last one would win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, refusing duplicate keys."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key `{key}` is given twice{node.start_mark}")
        return super().construct_mapping(node, deep=deep)


class UnreadableError(Exception):
    """A file is not there, not UTF-8 or not YAML; the message says which."""


def read(path: Path, loader: type[UniqueKeys] = UniqueKeys) -> Any:
    """The content of a file.

    Raises:
        UnreadableError: why there is none.
    """
    try:
        return yaml.load(path.read_text("utf-8"), Loader=loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise UnreadableError(f"cannot read `{path}`: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"`{path}` is not text in UTF-8") from error
    except (yaml.YAMLError, ValueError) as error:  # PyYAML lets the latter through, of numbers and dates that are none
        raise UnreadableError(f"`{path}` is not YAML: {error}".replace("\n", " ")) from error
    except RecursionError as error:
        raise UnreadableError(f"`{path}` is nested too deeply") from error
