"""The flat plan of a feed: what each place of a record means, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.kernel.errors import ConfigError
from services.kernel.schema.tags import Action, TextKind
from services.kernel.schema.words import PersonMark, RecordMark, ReferenceMark, RiskMark
from services.kernel.vocabulary import Role, Tag

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One place that holds a scalar. `gives` is the role of the person whose id stands there."""

    pattern: str
    tag: Tag
    protected: Action
    unprotected: Action
    kind: TextKind | None
    types: frozenset[str]
    person: PersonMark | None = None
    record: RecordMark | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    gives: Role | None = None
    risk: RiskMark | None = None
    refers: ReferenceMark | None = None
    constraints: tuple[Schema, ...] = ()

    def action(self, protected: bool) -> Action:
        """What happens to it in a record that is protected, or not."""
        return self.protected if protected else self.unprotected

    @property
    def names_person(self) -> bool:
        """Whether the id of a person stands here, who has no role by it."""
        return self.tag is Tag.REFERENCE and self.refers is None

    @property
    def speaks(self) -> bool:
        """Whether roles, markers, area or identity are read from here."""
        return (
            self.person is not None
            or self.record is not None
            or self.gives is not None
            or self.names_person
            or self.tag in (Tag.ROLE, Tag.AREA)
        )


@dataclass(slots=True)
class Node:
    """One step of the tree of patterns. Filled while compiling, only read afterwards.

    `person` is None where no person object stands here, () where one always does, else the values
    of which one set must hold. `gone` and `gone_if_protected`: every leaf beneath is dropped, so
    that the container goes too. `speaks`: something beneath says who the record is about.
    """

    pattern: str
    children: dict[str, Node] = field(default_factory=dict)
    items: Node | None = None
    leaf: Leaf | None = None
    person: tuple[Schema, ...] | None = None
    types: set[str] = field(default_factory=set)
    scalar: bool = False
    gone: bool = False
    gone_if_protected: bool = False
    speaks: bool = False

    def below(self) -> Iterator[Node]:
        """The nodes one step down."""
        yield from self.children.values()
        if self.items is not None:
            yield self.items

    def dropped(self, protected: bool) -> bool:
        """Whether nothing of what stands here may stay."""
        return self.gone_if_protected if protected else self.gone

    def is_person(self, value: Mapping[str, object]) -> bool:
        """Whether `value`, an object at this place, describes a person."""
        if self.person is None:
            return False
        return not self.person or any(
            all(value.get(key) == wanted for key, wanted in case.items()) for case in self.person
        )


class Validator(Protocol):
    """A compiled JSON Schema."""

    def is_valid(self, instance: Any) -> bool:
        """Whether `instance` conforms."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Plan:
    """One feed schema, compiled. `leaves` maps each pattern to its leaf; `root` is the same as a tree.

    `risk` gives, for each kind of lifted risk, the property names that lead to its place. `kept_validators` check,
    by pattern, the leaves that only an unprotected record keeps.
    """

    feed: str
    version: str
    schema_id: str
    digest: str
    root: Node
    leaves: Mapping[str, Leaf]
    persons: tuple[str, ...]
    risk: Mapping[RiskMark, tuple[str, ...]]
    redacted_schema: Schema
    source_validator: Validator
    redacted_validator: Validator
    kept_validators: Mapping[str, Validator]

    def validate(self, value: object) -> bool:
        """Whether an agency's record conforms; leaves that are dropped may hold anything."""
        return self.source_validator.is_valid(value)

    def validate_redacted(self, value: object) -> bool:
        """Whether a redacted record conforms to the generated schema, which is closed."""
        return self.redacted_validator.is_valid(value)


@dataclass(frozen=True, slots=True)
class Feeds:
    """Every plan of the deployment, by schema id."""

    plans: Mapping[str, Plan]

    def get(self, dataschema: str) -> Plan | None:
        """The plan for `ce_dataschema`, None where this deployment does not know it."""
        return self.plans.get(dataschema)

    def named(self, feed: str) -> Plan:
        """The newest plan of `feed`.

        Raises:
            ConfigError: this deployment does not know it.
        """
        found = [plan for plan in self.plans.values() if plan.feed == feed]
        if not found:
            raise ConfigError("feed", [f"no feed `{feed}`: there are {', '.join(self.names())}"])
        return max(found, key=lambda plan: [int(part) for part in plan.version.split(".")])

    def names(self) -> tuple[str, ...]:
        """The feeds, sorted."""
        return tuple(sorted({plan.feed for plan in self.plans.values()}))


def escape(key: str) -> str:
    """`key` as one step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key
