"""Readings of immigration terms that have look-alikes, and of country codes."""

from __future__ import annotations

import re
from collections.abc import Callable

from services.kernel.mask import VoucherReason
from services.redactor.text import shapes
from services.redactor.text.context import Around


def lookalike(at: Around) -> VoucherReason | None:
    """Why the term at this place is none of immigration's; None where it is, or may be."""
    check = _CHECKS.get(at.word)
    return check(at) if check is not None else None


def discloses_country(at: Around) -> bool:
    """Whether a three-letter code stands in capitals and where a code of a person can stand."""
    if not at.form.isupper() or not at.form.isalpha():
        return False
    if shapes.CODE_LABEL.search(at.left):
        return True
    if re.search(r"[(/|]\s*\Z", at.left) and re.match(r"\A\s*[)/|]", at.right):
        return True
    if at.following in at.groups.people and at.word not in {"are", "and", "can", "per", "mar", "ind"}:
        return True
    if at.scan.capitals and len(at.scan.normal.text) > 40:
        return False
    return at.word not in {"are", "and", "can", "per", "mar"} and shapes.CODE_COUNTED.search(at.left) is not None


def _visa(at: Around) -> VoucherReason | None:
    if at.following in at.groups.cards:
        return VoucherReason.BRAND
    if at.form != "Visa" and not at.scan.capitals:
        return None
    near = at.left[-40:] + " " + at.right[:50]
    if shapes.CARD.search(near) and not shapes.VISA_STATUS.search(at.left[-25:] + " | " + at.right[:25]):
        return VoucherReason.BRAND
    return None


def _home_office(at: Around) -> VoucherReason | None:
    if shapes.HOME_OFFICE_BODY.match(at.right):
        return VoucherReason.INSTITUTION
    if shapes.HOME_OFFICE_ROOM.match(at.right):
        return VoucherReason.PHRASE
    room = at.form.islower() and shapes.HOME_OFFICE_OWNED.search(at.left)
    return VoucherReason.PHRASE if room and not shapes.HOME_OFFICE_TOLD.search(at.left) else None


def _overstay(at: Around) -> VoucherReason | None:
    other = shapes.OVERSTAY_OTHER.match(at.right) or shapes.PARKING.search(at.left + at.right)
    return VoucherReason.PHRASE if other else None


def _beside(*, left: str = "", right: str = "", reason: VoucherReason) -> Callable[[Around], VoucherReason | None]:
    before = re.compile(rf"(?:{left})\s*\Z") if left else None
    behind = re.compile(rf"\A\s(?:{right})") if right else None

    def check(at: Around) -> VoucherReason | None:
        found = (before is not None and before.search(at.left)) or (behind is not None and behind.match(at.right))
        return reason if found else None

    return check


_BUILDING = _beside(
    right=r"(?:house|hotel|club|suite|court|road|street|cigarettes?|tobacco|fags)\b", reason=VoucherReason.STREET_NAME
)
_CITIZENSHIP = _beside(
    left=r"\b(?:digital|global|good|school|senior)", right=r"(?:lesson|class|award)", reason=VoucherReason.PHRASE
)
_GROUP = _beside(
    right=r"(?:(?:into|in) (?:the|a|this) (?:group|team|area|class)|"
    r"(?:daffodil|bulb|plant|grass|rose|bluebell|tree)s?\b)",
    reason=VoucherReason.PHRASE,
)
_ASYLUM = _beside(
    left=r"\b(?:former|old|victorian|lunatic|county|mental|borough|pauper|derelict|abandoned|prestwich)",
    right=r"(?:night ?club|club|bar|night|gig|band|film|theatre|building|museum|records)\b",
    reason=VoucherReason.BRAND,
)
_UNWRITTEN = _beside(
    left=r"\b(?:injur|bruis|wound|mark|incident|visit|call|meeting)\w* (?:is|are|was|were|remains?|went)",
    right=r"(?:in|on) the (?:tenancy|notes?|file|records?|system|chart|log)\b|"
    r"(?:\w+ )?(?:bruis|injur|absence|call|visit|change|contact|meeting|mark|wound|conversation|decision|"
    r"discussion|reason|medication|fall|incident|dose|loss|risk|scratch|swelling|feature|code|cash|payment|stock)",
    reason=VoucherReason.PHRASE,
)
_HIMSELF = _beside(right=r"(?:him|her|them|my|your)sel(?:f|ves)\b", reason=VoucherReason.PHRASE)
_SHELTER = _beside(
    right=r"from (?:the |all the )?(?:noise|rain|heat|storm|party|flood|cold|weather|wind|row)",
    reason=VoucherReason.PHRASE,
)
_WORKPLACE = _beside(
    right=r"(?:from home|from the|in the (?:garden|street|road|building)|"
    r"on (?:the |a )?(?:roof|road|site|highway|scaffold)|nights|overtime|late|part ?time|remotely|at height)",
    reason=VoucherReason.PHRASE,
)
_BODY_HOME = _beside(right=r"to (?:the )?(?:uk|united kingdom|england|family)\b", reason=VoucherReason.PHRASE)
_PAPER = _beside(
    left=r"\b(?:pet|dog|hospital|health|learning|vaccine|covid|vaccination|energy|building|skills|communication)",
    right=r"(?:to leisure|photo shop)",
    reason=VoucherReason.PHRASE,
)
_SILENT = _beside(right=r"silent\b", reason=VoucherReason.PHRASE)
_LET = _beside(right=r"(?:an?|the|her|his|out)\b", reason=VoucherReason.PHRASE)
_SITE = _beside(
    left=r"\b(?:hot|roof|confined space|site|safe|height)",
    right=r"(?:for|on) (?:the )?(?:scaffold\w*|crane|roof|hot works?|excavation|highway|trench)\b",
    reason=VoucherReason.PHRASE,
)
_RIVER = _beside(
    right=r"(?:avenue|road|street|close|drive|square|house|court|day|way|valley|park)\b",
    reason=VoucherReason.STREET_NAME,
)
_MEDICAL = _beside(right=r"(?:for|of) (?:the )?(?:infection|bacteria|line|knife|bullet)", reason=VoucherReason.PHRASE)
_BOATING = _beside(
    left=r"\b(?:hired|sailing|rowing|fishing|toy) (?:a |in a |his |her |their )?",
    right=r"(?:on|at|in) (?:the |a )?(?:\w+ )?(?:lake|canal|reservoir|marina|pond|loch|park)\b|(?:hire|race|trip)\b",
    reason=VoucherReason.PHRASE,
)
_CLAIM = _beside(
    right=r"for (?:pip|uc|universal credit|housing|hb|esa|dla|jsa|carer'?s|attendance|council tax|child|benefit|comp)",
    reason=VoucherReason.PHRASE,
)
_CHECKS: dict[str, Callable[[Around], VoucherReason | None]] = {
    **dict.fromkeys(("visa", "visas"), _visa),
    **dict.fromkeys(("home office", "homeoffice", "h office"), _home_office),
    **dict.fromkeys(("overstayed", "over stayed", "overstay", "overstaying"), _overstay),
    **dict.fromkeys(("naturalised", "naturalized"), _GROUP),
    **dict.fromkeys(("embassy", "consulate", "high commission"), _BUILDING),
    **dict.fromkeys(("citizenship", "british citizenship"), _CITIZENSHIP),
    **dict.fromkeys(("deported", "deporting", "deport"), _HIMSELF),
    **dict.fromkeys(("refugee", "refugees"), _SHELTER),
    **dict.fromkeys(("repatriated", "repatriate"), _BODY_HOME),
    **dict.fromkeys(("passport number", "passport no", "passport details", "passport holder"), _PAPER),
    **dict.fromkeys(("work permit", "work permits"), _SITE),
    **dict.fromkeys(("small boat", "small boats", "dinghy", "dinghies"), _BOATING),
    "health surcharge": _beside(right=r"on\b", reason=VoucherReason.PHRASE),
    **dict.fromkeys(("fresh claim", "fresh claims"), _CLAIM),
    "pre settlement": _beside(
        right=r"(?:meeting|talk|negotiation|hearing|offer|discussion|conference)", reason=VoucherReason.PHRASE
    ),
    "ho housing": _beside(right=r"officer\b", reason=VoucherReason.PHRASE),
    "first tier tribunal": _beside(
        right=r"\(?(?:property|social|health|tax|send\b|special|war|general)", reason=VoucherReason.INSTITUTION
    ),
    "right to remain": _SILENT,
    "right to work": _beside(right=r"at height\b", reason=VoucherReason.PHRASE),
    "border force": _beside(right=r"(?:series|dvds?|box ?set|episodes?|on (?:tv|telly))\b", reason=VoucherReason.BRAND),
    "right to rent": _LET,
    "windrush": _RIVER,
    **dict.fromkeys(("asylum", "asylums"), _ASYLUM),
    "undocumented": _UNWRITTEN,
    "permission to work": _WORKPLACE,
    "port of entry": _MEDICAL,
    "sponsorship": _beside(left=r"\b(?:shirt|football|event|charity|corporate|team|club)", reason=VoucherReason.PHRASE),
    "entry clearance": _beside(right=r"(?:given|granted by gold|by)", reason=VoucherReason.PHRASE),
    "serco": _beside(right=r"(?:leisure|prison|escort|custody|transport)", reason=VoucherReason.INSTITUTION),
}
