"""Applying a plan to one record: every leaf is kept, read, pseudonymised or dropped, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.kernel.detail import MaskDetail
from services.kernel.schema.plan import Leaf, Node, Plan, escape
from services.kernel.schema.tags import Action, TextKind

Voucher = tuple[str, int, int, str]

_MAX_DRIFT_PATHS = 50
_MAX_DRIFT_LENGTH = 200
_GONE: Any = object()


class Redaction(Protocol):
    """What the text engine returns for one text; offsets are in the text that comes out."""

    @property
    def text(self) -> str:
        """The text with its masks."""
        ...

    @property
    def masks(self) -> Sequence[Any]:
        """Each with start, end, entity, rule."""
        ...

    @property
    def vouchers(self) -> Sequence[Any]:
        """Each with start, end, reason."""
        ...

    @property
    def held(self) -> bool:
        """Whether the text could not be read."""
        ...

    @property
    def risk(self) -> frozenset[str]:
        """Coded risk that the text speaks of."""
        ...


Scan = Callable[[str, TextKind], Redaction]
Pseudonym = Callable[[Leaf, str], str]


@dataclass(slots=True)
class Traversed:
    """A redacted value and the account of it. Pointers are those of the redacted value.

    `held` maps the pointer of each unreadable text to the text itself. `dropped` counts leaves by cause:
    `plan`, `drift` (no schema knows the field) and `misfit` (not what the schema says).
    """

    value: dict[str, Any] = field(default_factory=dict)
    masks: list[MaskDetail] = field(default_factory=list)
    vouchers: list[Voucher] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    risk: set[str] = field(default_factory=set)
    drift: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    leaves_in: int = 0
    leaves_out: int = 0


def traverse(value: dict[str, Any], plan: Plan, *, protected: bool, scan: Scan, pseudonym: Pseudonym) -> Traversed:
    """Redact `value` by `plan`. Iterative: as deep as the value, never as deep as the stack.

    Args:
        protected: whether the record is; see `roles`.
        scan: reads one text.
        pseudonym: the keyed hash of one id.
    """
    return _Traversal(plan, protected, scan, pseudonym).run(value)


def count_leaves(value: object) -> int:
    """Number of scalars in `value`."""
    count, stack = 0, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, list):
            stack += item
        else:
            count += 1
    return count


class _Traversal:
    def __init__(self, plan: Plan, protected: bool, scan: Scan, pseudonym: Pseudonym) -> None:
        self._root = plan.root
        self._checks = plan.kept_validators
        self._protected = protected
        self._scan = scan
        self._pseudonym = pseudonym
        self._done = Traversed()
        self._stack: list[tuple[Any, Any, Node, str]] = []

    def run(self, value: dict[str, Any]) -> Traversed:
        self._stack.append((value, self._done.value, self._root, ""))
        while self._stack:
            source, target, node, pointer = self._stack.pop()
            if isinstance(source, dict):
                for key, item in source.items():
                    child = node.children.get(key)
                    placed = (
                        self._drift(item, pointer, key) if child is None else self._place(item, child, pointer, key)
                    )
                    if placed is not _GONE:
                        target[key] = placed
            elif node.items is not None:
                for item in source:
                    placed = self._place(item, node.items, pointer, str(len(target)))
                    if placed is _GONE and node.items.leaf is None:
                        placed = {} if node.items.children else []  # those after it keep their place
                    if placed is not _GONE:
                        target.append(placed)
        return self._done

    def _place(self, item: Any, node: Node, pointer: str, key: str) -> Any:
        """What stands in the output for `item`, at `key` under `pointer`.

        A container is put on the stack to be filled later.
        """
        if node.dropped(self._protected):
            return self._drop(item, "plan")
        if node.leaf is not None:
            return self._leaf(item, node.leaf, pointer, key)
        made: Any = None
        if isinstance(item, dict) and node.children:
            made = {}
        elif isinstance(item, list) and node.items is not None:
            made = []
        elif item is None and "null" in node.types:
            self._done.leaves_in += 1
            self._done.leaves_out += 1
            return None
        else:
            return self._drop(item, "misfit")
        self._stack.append((item, made, node, f"{pointer}/{escape(key)}"))
        return made

    def _leaf(self, item: Any, leaf: Leaf, pointer: str, key: str) -> Any:
        action = leaf.protected if self._protected else leaf.unprotected
        if not _fits(item, leaf.types) or (action is Action.KEEP and self._refused(item, leaf)):
            return self._drop(item, "misfit")
        self._done.leaves_in += 1
        self._done.leaves_out += 1
        if item is None or action is Action.KEEP:
            return item
        if action is Action.PSEUDONYMISE:
            return self._pseudonym(leaf, str(item))
        return self._read(item, leaf.kind or TextKind.NARRATIVE, f"{pointer}/{escape(key)}")

    def _refused(self, item: Any, leaf: Leaf) -> bool:
        """Whether the schema refuses a value that nobody checked yet, since most records lose it."""
        check = self._checks.get(leaf.pattern)
        return check is not None and not check.is_valid(item)

    def _read(self, text: str, kind: TextKind, pointer: str) -> str:
        done, redaction = self._done, self._scan(text, kind)
        done.masks += [(pointer, str(m.entity), m.rule, m.start, m.end) for m in redaction.masks]
        done.vouchers += [(pointer, v.start, v.end, str(v.reason)) for v in redaction.vouchers]
        done.risk |= redaction.risk
        if redaction.held:
            done.held[pointer] = text
        return redaction.text

    def _drift(self, item: Any, pointer: str, key: str) -> Any:
        if len(self._done.drift) < _MAX_DRIFT_PATHS:
            self._done.drift.append(f"{pointer}/{escape(key)}"[:_MAX_DRIFT_LENGTH])
        return self._drop(item, "drift")

    def _drop(self, item: Any, cause: str) -> Any:
        count = count_leaves(item)
        self._done.leaves_in += count
        self._done.dropped[cause] += count
        return _GONE


def _fits(item: Any, types: frozenset[str]) -> bool:
    """Whether a scalar is of one of the JSON `types`; containers are of none."""
    if item is None:
        return "null" in types
    if isinstance(item, bool):
        return "boolean" in types
    if isinstance(item, str):
        return "string" in types
    if isinstance(item, int):
        return "integer" in types or "number" in types
    return isinstance(item, float) and ("number" in types or ("integer" in types and item.is_integer()))
