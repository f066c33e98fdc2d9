"""From a view's JSON Schema to closures: each node of the schema becomes one function of a `Run`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from services.kernel.attestation import Claims
from services.kernel.mask import TOKEN
from services.kernel.vocabulary import Role, Tag
from services.router.coarsen import TABLES
from services.router.residual import Leaf, gives_away
from services.router.text_view import Shortened, shorten

#: Stands where a partner's keyed id goes; has the shape of one, so that the view validates before it is filled.
PLACEHOLDER = "0" * 32

#: No view has room for these.
_CLOSED_TAGS = frozenset(
    {
        Tag.NATIONALITY, Tag.COUNTRY_OF_ORIGIN, Tag.IMMIGRATION_STATUS, Tag.IMMIGRATION_DOCUMENT,
        Tag.IMMIGRATION_CONTACT, Tag.ENTRY_ROUTE, Tag.LANGUAGE, Tag.PROXY, Tag.ETHNICITY, Tag.POLICE_ID,
        Tag.MARKER, Tag.TASK, Tag.ATTACHMENT,
    }
)  # fmt: skip
#: A copy of one of these in two places shows that both are of the same record or person.
_JOINING = frozenset(
    {Tag.REFERENCE, Tag.NAME, Tag.CONTACT, Tag.ADDRESS, Tag.IDENTIFIER, Tag.BIRTH_DATE, Tag.FREE_TEXT}
)  # fmt: skip
#: Tables so coarse that many share a value.
_COARSE = frozenset({"age_band", "ward", "month", "quarter"})
_LEAF_KEYS = frozenset({"x-how", "x-from"})
_ARRAY_KEYS = frozenset({"x-from", "x-where", "x-roles"})
_HIDDEN = re.compile(rf"(?:{re.escape(TOKEN)}|[\W_])*")


class Slot(NamedTuple):
    """A place for a keyed id: `container[key]`, made from `source` (for a record id, the record itself)."""

    container: Any
    key: Any
    source: str
    is_record: bool


class Scope(NamedTuple):
    """Where the items of an array are read from: the source item and its pointer."""

    item: Any
    pointer: str


@dataclass(slots=True)
class Run:
    """State of building one view of one record."""

    record: dict[str, Any]
    claims: Claims
    today: date
    scopes: list[Scope] = field(init=False)
    slots: list[Slot] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scopes = [Scope(self.record, "")]


Emit = Callable[[Run], Any]


@dataclass(slots=True)
class Holds:
    """What a view has room for, as far as policy asks: each becomes a fact."""

    text: bool = False
    contact: bool = False
    address: bool = False
    #: An id, a version, or a time finer than a quarter: one row is one record.
    single: bool = False
    #: Source pointers of what two partners could compare to find that they hold the same record or person.
    joins: dict[str, Tag] = field(default_factory=dict)

    @property
    def aggregate(self) -> bool:
        """Whether its rows are good for counting and for nothing else."""
        return not (self.text or self.contact or self.address or self.single)


class Plan(NamedTuple):
    """A compiled view: what builds it, and what it has room for."""

    emit: Emit
    holds: Holds


def compile_view(schema: dict[str, Any], faults: list[str]) -> Plan:
    """Compile the root of a view; append every fault found to `faults`."""
    compiler = _Compiler(schema, faults)
    if schema.get("type") != "object":
        faults.append("`/`: a view is an object")
    return Plan(compiler.node(schema, "", ("",)), compiler.holds)


class _Compiler:
    """Walks the schema; `scopes` holds the source pointers of the arrays around a node, "" first."""

    def __init__(self, root: dict[str, Any], faults: list[str]) -> None:
        self._defs = root.get("$defs", {})
        self._faults = faults
        self.holds = Holds()

    def node(self, schema: dict[str, Any], at: str, scopes: tuple[str, ...]) -> Emit:
        """Compile one node."""
        schema = self._resolve(schema, at)
        for key in ("title", "description"):
            schema = {name: part for name, part in schema.items() if name != key}
        if "x-how" in schema:
            return self._leaf(schema, at, scopes)
        types = schema.get("type")
        if types == "array":
            return self._array(schema, at, scopes)
        if types == "object":
            return self._object(schema, at, scopes)
        self._fault(at, "a leaf needs `x-how`")
        return lambda _run: None

    def _object(self, schema: dict[str, Any], at: str, scopes: tuple[str, ...]) -> Emit:
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            self._fault(at, "`additionalProperties` is not false")
        if absent := sorted(set(properties) ^ set(schema.get("required", ()))):
            self._fault(at, f"`required` and `properties` differ in `{'`, `'.join(absent)}`")
        self._unknown(schema, at, frozenset({"x-from"}))
        for name in properties:
            if gives_away(re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name)):
                self._fault(f"{at}/{name}", "the name of the property gives away")
        parts = [(name, self.node(child, f"{at}/{name}", scopes)) for name, child in properties.items()]

        def emit(run: Run) -> dict[str, Any]:
            made: dict[str, Any] = {}
            for name, part in parts:
                value = part(run)
                if type(value) is _Id:
                    run.slots.append(Slot(made, name, value.source, value.is_record))
                    value = PLACEHOLDER
                made[name] = value
            return made

        return emit

    def _array(self, schema: dict[str, Any], at: str, scopes: tuple[str, ...]) -> Emit:
        self._unknown(schema, at, _ARRAY_KEYS)
        source = schema.get("x-from")
        items = schema.get("items")
        if not isinstance(source, str) or not isinstance(items, dict):
            self._fault(at, "an array needs `x-from` and `items`")
            return lambda _run: []
        depth, get = self._reader(source, at, scopes)
        item = self.node(items, f"{at}/*", (*scopes, f"{source}/*"))
        suffix = source[len(scopes[depth]) :]
        where = self._where(schema.get("x-where"), at, (*scopes, f"{source}/*"))
        roles = self._roles(schema.get("x-roles"), at)
        values = "x-how" in self._resolve(items, at)

        def emit(run: Run) -> list[Any]:
            scope = run.scopes[depth]
            held = get(scope.item)
            made: list[Any] = []
            if type(held) is not list or (values and _masked(held)):
                return made
            for index, element in enumerate(held):
                pointer = f"{scope.pointer}{suffix}/{index}"
                if where is not None and not where(element):
                    continue
                if roles is not None and roles.isdisjoint(roles_at(run.claims, pointer)):
                    continue
                run.scopes.append(Scope(element, pointer))
                value = item(run)
                run.scopes.pop()
                if type(value) is _Id:
                    run.slots.append(Slot(made, len(made), value.source, value.is_record))
                    value = PLACEHOLDER
                if value is not None:
                    made.append(value)
            return made

        return emit

    def _leaf(self, schema: dict[str, Any], at: str, scopes: tuple[str, ...]) -> Emit:
        self._unknown(schema, at, _LEAF_KEYS)
        tag = self._tag(schema, at)
        how, _, what = str(schema["x-how"]).partition(":")
        self._note(tag, how, what, schema.get("x-from"))
        if how == "role":
            return self._role_leaf(schema, scopes)
        if how == "constant" and what:
            return lambda _run: what
        if how == "record":
            return lambda run: _Id(run.claims.record, is_record=True)
        source = schema.get("x-from")
        if not isinstance(source, str) or how not in ("copy", "coarsen", "pseudonym") or (what and how != "coarsen"):
            self._fault(at, f"`x-how: {schema['x-how']}` is not known, or has no `x-from`")
            return lambda _run: None
        depth, get = self._reader(source, at, scopes)
        suffix = source[len(scopes[depth]) :]
        if how == "pseudonym":
            return lambda run: _Id(found) if type(found := get(run.scopes[depth].item)) is str and found else None
        if how == "coarsen" and what != "text":
            return self._table(what, at, depth, get)
        if (tag is Tag.FREE_TEXT) != (what == "text"):
            self._fault(at, "FREE_TEXT and `coarsen:text` belong together")
        return self._copy(schema, at, tag, depth, get, suffix)

    def _note(self, tag: Tag, how: str, what: str, source: Any) -> None:
        """Remember what this leaf makes the view hold; a constant holds nothing."""
        if how == "constant":
            return
        holds = self.holds
        holds.text |= tag is Tag.FREE_TEXT
        holds.contact |= tag is Tag.CONTACT or tag is Tag.NAME
        holds.address |= tag is Tag.ADDRESS
        holds.single |= how in ("record", "pseudonym") or tag is Tag.RECORD_VERSION
        if tag in _JOINING and how in ("copy", "coarsen") and what not in _COARSE and isinstance(source, str):
            holds.joins[source] = tag
        holds.single |= what == "ward" or (tag is Tag.TIME and what != "quarter")

    def _copy(
        self, schema: dict[str, Any], at: str, tag: Tag, depth: int, get: Callable[[Any], Any], suffix: str
    ) -> Emit:
        """A copy; what could hold words is remembered with its source for the residual scan."""
        words = [value for value in schema.get("enum", ()) if isinstance(value, str)]
        for value in words:
            if gives_away(value.replace("_", " ")):
                self._fault(at, f"the value `{value}` gives away")
        if "enum" in schema:
            return _closed(depth, get)
        free = tag is Tag.FREE_TEXT

        def emit(run: Run) -> Any:
            scope = run.scopes[depth]
            value = get(scope.item)
            if type(value) is str:
                if not value or _hidden(value) or (not run.claims.protected if free else TOKEN in value):
                    return None
                seen = shorten(value) if free else Shortened(value, ())
                run.leaves.append(Leaf(scope.pointer + suffix, value, tag, seen))
                return seen.text or None
            elif type(value) is dict or type(value) is list:
                return None
            return value

        return emit

    def _table(self, what: str, at: str, depth: int, get: Callable[[Any], Any]) -> Emit:
        """A value out of a closed table: nothing of it is left for the residual scan to find."""
        table = TABLES.get(what)
        if table is None:
            self._fault(at, f"`coarsen:{what}` is not a table")
            return lambda _run: None
        return lambda run: table(get(run.scopes[depth].item), run.today)

    def _role_leaf(self, schema: dict[str, Any], scopes: tuple[str, ...]) -> Emit:
        depth = len(scopes) - 1
        source = schema.get("x-from")
        suffix = source[len(scopes[depth]) :] if isinstance(source, str) and source.startswith(scopes[depth]) else ""
        return lambda run: list(roles_at(run.claims, run.scopes[depth].pointer + suffix))

    def _reader(self, source: str, at: str, scopes: tuple[str, ...]) -> tuple[int, Callable[[Any], Any]]:
        """The innermost array that `source` goes through, and a reader relative to its items."""
        for depth in range(len(scopes) - 1, -1, -1):
            base = scopes[depth]
            if source == base or source.startswith(f"{base}/"):
                parts = source[len(base) :].split("/")[1:]
                tokens = tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)
                if "*" not in tokens:
                    return depth, _getter(tokens)
                break
        self._fault(at, f"`x-from: {source}` goes through an array that is not the view's")
        return 0, _getter(())

    def _where(self, where: Any, at: str, scopes: tuple[str, ...]) -> Callable[[Any], bool] | None:
        if where is None:
            return None
        if not isinstance(where, dict) or set(where) != {"pointer", "equals"}:
            self._fault(at, "`x-where` is not {pointer, equals}")
            return None
        depth, get = self._reader(str(where["pointer"]), at, scopes)
        if depth != len(scopes) - 1:
            self._fault(at, "`x-where` does not look at the items of the array")
        return lambda element: bool(get(element) == where["equals"])

    def _roles(self, roles: Any, at: str) -> frozenset[str] | None:
        if roles is None:
            return None
        known = set(Role)
        if not isinstance(roles, list) or not roles or not known.issuperset(roles):
            self._fault(at, "`x-roles` is not a list of roles")
            return frozenset()
        return frozenset(roles)

    def _tag(self, schema: dict[str, Any], at: str) -> Tag:
        tags = schema.get("confluent:tags")
        if not isinstance(tags, list) or len(tags) != 1 or tags[0] not in set(Tag):
            self._fault(at, "a leaf carries exactly one known tag")
            return Tag.CODE
        if tags[0] in _CLOSED_TAGS:
            self._fault(at, f"no view has room for `{tags[0]}`")
        return Tag(tags[0])

    def _resolve(self, schema: dict[str, Any], at: str) -> dict[str, Any]:
        reference = schema.get("$ref")
        if reference is None:
            return schema
        target = self._defs.get(str(reference).removeprefix("#/$defs/"))
        if not isinstance(target, dict) or "$ref" in target:
            self._fault(at, f"`$ref: {reference}` does not resolve")
            return {"x-how": "constant:none", "confluent:tags": ["CODE"]}
        return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}

    def _unknown(self, schema: dict[str, Any], at: str, known: frozenset[str]) -> None:
        for key in sorted(key for key in schema if key.startswith("x-") and key not in known):
            self._fault(at, f"`{key}` is not known here")

    def _fault(self, at: str, message: str) -> None:
        self._faults.append(f"`{at or '/'}`: {message}")


class _Id:
    """A value that becomes a partner's keyed id once it is known whose."""

    __slots__ = ("is_record", "source")

    def __init__(self, source: str, *, is_record: bool = False) -> None:
        self.source = source
        self.is_record = is_record


def roles_at(claims: Claims, pointer: str) -> tuple[str, ...]:
    """Attested roles of the person at `pointer`, or of the one that encloses it or stands inside it."""
    found = claims.persons.get(pointer)
    if found is not None:
        return tuple(found)
    for candidate in _around(claims, pointer):
        return tuple(claims.persons[candidate])
    return ()


def _around(claims: Claims, pointer: str) -> Iterator[str]:
    outer = pointer
    while outer:
        outer = outer.rpartition("/")[0]
        if outer in claims.persons:
            yield outer
    yield from (inner for inner in claims.persons if inner.startswith(f"{pointer}/"))


def _closed(depth: int, get: Callable[[Any], Any]) -> Emit:
    """A copy of a code from a closed set, which the view validates: there are no words to remember."""

    def emit(run: Run) -> Any:
        value = get(run.scopes[depth].item)
        return None if value in ("", TOKEN) or type(value) is dict or type(value) is list else value

    return emit


def _masked(values: list[Any]) -> bool:
    """Whether something is hidden in a list of values. It goes whole then, so that its length does not tell."""
    return any(type(value) is str and TOKEN in value for value in values)


def _hidden(value: str) -> bool:
    """Whether nothing but masks, spaces and marks is left of a text."""
    return not value[0].isalnum() and _HIDDEN.fullmatch(value) is not None


def _getter(tokens: tuple[str, ...]) -> Callable[[Any], Any]:
    """A reader of the value at `tokens`, None where there is none. The short paths have their own."""
    if not tokens:
        return lambda value: value
    if len(tokens) == 1:
        (only,) = tokens
        return lambda value: value.get(only) if type(value) is dict else None
    first, *rest = tokens
    inner = _getter(tuple(rest))

    def get(value: Any) -> Any:
        return inner(value.get(first)) if type(value) is dict else None

    return get
