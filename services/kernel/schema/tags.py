"""`schemas/tags.yaml`: what each tag means and what happens to a leaf that carries it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from services.kernel import yaml_file
from services.kernel.errors import ConfigError
from services.kernel.vocabulary import Tag


class Action(StrEnum):
    """What the redactor does to one leaf."""

    KEEP = "keep"
    DROP = "drop"
    SCAN = "scan"
    PSEUDONYMISE = "pseudonymise"


class TextKind(StrEnum):
    """What sort of text a scanned leaf holds; the text engine's own words."""

    NARRATIVE = "narrative"
    NAME = "name"
    ADDRESS = "address"
    CONTACT = "contact"


@dataclass(frozen=True, slots=True)
class TagRule:
    """One tag: the action for a protected and for an unprotected owner, the kind of text if scanned."""

    tag: Tag
    group: str
    protected: Action
    unprotected: Action
    kind: TextKind | None = None


Tags = Mapping[Tag, TagRule]

_GROUPS = ("direct", "personal", "proxy", "structure", "text")
_KEYS = frozenset({"summary", "group", "protected", "unprotected", "kind"})
_STRICTNESS = {Action.KEEP: 0, Action.SCAN: 1, Action.PSEUDONYMISE: 1, Action.DROP: 2}


def load_tags(path: Path) -> Tags:
    """Read the vocabulary.

    Raises:
        ConfigError: listing every fault: a tag missing or unknown, an unknown word, a rule that is
            milder for the protected than for the unprotected.
    """
    try:
        content = yaml_file.read(path)
    except yaml_file.UnreadableError as error:
        raise ConfigError("tags", [str(error)]) from error
    given = content.get("tags") if isinstance(content, dict) else None
    if not isinstance(given, dict):
        raise ConfigError("tags", [f"`{path.name}` has no mapping `tags`"])
    faults = [f"unknown tag `{name}`" for name in given if name not in list(Tag)]
    faults += [f"tag `{tag}` is missing" for tag in Tag if tag not in given]
    rules: dict[Tag, TagRule] = {}
    for name in Tag:
        if name in given:
            rule, found = _rule(name, given[name])
            faults += found
            if rule:
                rules[name] = rule
    if faults:
        raise ConfigError("tags", faults)
    return rules


def _rule(tag: Tag, body: object) -> tuple[TagRule | None, list[str]]:
    if not isinstance(body, dict):
        return None, [f"tag `{tag}` is not a mapping"]
    faults = [f"tag `{tag}`: unknown key `{key}`" for key in body if key not in _KEYS]
    if not isinstance(body.get("summary"), str):
        faults.append(f"tag `{tag}`: no summary")
    if body.get("group") not in _GROUPS:
        faults.append(f"tag `{tag}`: group is not one of {list(_GROUPS)}")
    faults += [
        f"tag `{tag}`: `{side}` is not one of {[action.value for action in Action]}"
        for side in ("protected", "unprotected")
        if body.get(side) not in list(Action)
    ]
    kind = body.get("kind")
    if kind is not None and kind not in list(TextKind):
        faults.append(f"tag `{tag}`: kind is not one of {[kind.value for kind in TextKind]}")
    if faults:
        return None, faults
    rule = TagRule(
        tag,
        body["group"],
        Action(body["protected"]),
        Action(body["unprotected"]),
        TextKind(kind) if kind else None,
    )
    if (Action.SCAN in (rule.protected, rule.unprotected)) != (rule.kind is not None):
        faults.append(f"tag `{tag}`: `kind` belongs to `scan`, and only to it")
    if _STRICTNESS[rule.protected] < _STRICTNESS[rule.unprotected]:
        faults.append(f"tag `{tag}`: milder for the protected than for the unprotected")
    return rule, faults
