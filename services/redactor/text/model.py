"""The engine's own types: what was found, what was masked, what stayed and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.kernel.mask import VoucherReason
from services.kernel.schema.tags import TextKind
from services.kernel.vocabulary import EntityClass

#: What sort of value a text is; names and addresses keep words that a narrative may not.
Kind = TextKind


@dataclass(frozen=True, slots=True)
class Span:
    """One disclosure. `start` and `end` are characters of the input text."""

    start: int
    end: int
    entity: EntityClass
    rule: str
    score: float = 0.9


@dataclass(frozen=True, slots=True)
class Mask:
    """One neutral token. `start` and `end` are characters of the output text."""

    start: int
    end: int
    entity: EntityClass
    rule: str


@dataclass(frozen=True, slots=True)
class Voucher:
    """A look-alike that stayed. `start` and `end` are characters of the output text."""

    start: int
    end: int
    reason: VoucherReason


@dataclass(frozen=True, slots=True)
class Redaction:
    """A redacted text. `held`: it could not be read and is the token alone. `risk`: closed codes."""

    text: str
    masks: tuple[Mask, ...] = ()
    vouchers: tuple[Voucher, ...] = ()
    held: bool = False
    risk: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Kept:
    """A look-alike in the text that was scanned, before it has a place in the output."""

    start: int
    end: int
    reason: VoucherReason
