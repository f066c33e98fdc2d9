"""Patterns that no voucher explains: who somebody is, where from, how they came, and reference numbers.

All work on folded text (lower case, no accents). Formats of references: Home Office, HMCTS and Ministry of
Justice code as public on GitHub (permit, application and reference numbers, appeal numbers).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_PERSON_AFTER = re.compile(
    r"[\s\-]+(?:born|origin|descent|heritage|ethnicity|accent|passports?|nationals?|nationality|citizens?|citizenship|"
    r"males?|females?|m[ae]n|wom[ae]n|lady|ladies|girls?|boys?|lads?|guys?|couple|famil(?:y|ies)|people|persons?|"
    r"victims?|witness(?:es)?|suspects?|wife|wives|husband|partner|mother|father|mum|dad|parents|children|"
    r"speak(?:er|ers|ing|s)?|interpreters?|translators?|dialect|migrants?|gang|id cards?|driving licences?)\b"
)
_WHO = (
    r"(?:i|he|she|they|we|you|who|ip|aggrieved|victim|witness|suspect|complainant|informant|caller|male|female|"
    r"m[ae]n|wom[ae]n|husband|wife|partner|mother|father|mum|dad|parents|family|neighbours?|child|children|"
    r"boyfriend|girlfriend|brother|sister|son|daughter|tenants?|client|residents?|driver|offender|both|all)"
)
_COPULA = re.compile(
    rf"\b(?:{_WHO}\s+(?:is|are|was|were|am|be|being)|(?:he|she|who|ip)'s|(?:they|we|you)'re|i'm)\s+"
    r"(?:(?:an?|the|also|both|half|part|not|white|black|of|from|\w+ly)\s+)*$"
)
_TONGUE = re.compile(
    r"(?:\bspeak(?:s|ing)?|\bspoke|\bfluent in|\binterpret(?:er|ed|ing) (?:for|in|from|into)|"
    r"\btranslat(?:ed|or) (?:for|from|into)|\b(?:first|native|home|preferred) language(?: is|:)?)\s+(?:\w+[\s,]+){0,2}$"
)
_COUNTRY_UK = r"(?:uk|u\.k\.?|united kingdom|england|great britain|britain|this country)"
_MONTHS = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)\b"


class _Pattern(NamedTuple):
    """A pattern, and words of which one must be there before it is tried (none: a digit must)."""

    name: str
    pattern: re.Pattern[str]
    triggers: tuple[str, ...]


_WORDS = tuple(
    _Pattern(name, re.compile(pattern), triggers)
    for name, pattern, triggers in (
        ("born", rf"\bborn (?:and (?:raised|bred|brought up) )?in (?!{_MONTHS}|the\b|hospital)([a-z]\w+)", ("born ",)),
        (
            "entry",
            r"\b(?:came|come|coming|arriv(?:ed?|ing)|enter(?:ed|ing)|flew|fled|smuggled|trafficked|brought)"
            rf"(?:\s+(?:over|here|her|him|them|illegally|in))*\s+(?:(?:in|into|to)\s+)?(?:the\s+)?{_COUNTRY_UK}\b",
            ("uk", "u.k", "united kingdom", "england", "britain", "this country"),
        ),
        (
            "visa",
            r"\b(?:an?|her|his|my|their|your|our|no|on|the|any|new|current|valid|expired|for)\s+visas?\b",
            ("visa",),
        ),
        (
            "overstay",
            r"\bover[\s-]?stay(?:ed)?\b",
            ("stay",),
        ),
        (
            "illegal",
            r"\billegals?\s+(?:\w+\s+)?(?:immigrants?|migrants?|aliens?|entrants?|workers?)\b",
            ("illegal",),
        ),
        ("uk_person", r"\b(?:uk|eu|eea) (?:born|citizens?|nationals?|passports?)\b", ("uk ", "eu ", "eea ")),
        (
            "coded",
            r"(?<![a-z])(?:nationalit(?:y|ies)|citizenship|(?:place|country)[\s_-]?of[\s_-]?(?:birth|origin)|"
            r"birth[\s_-]?(?:place|country))(?:[\s_-]?\(?(?:code|iso|id)\)?){0,2}[\"'\\\])>\s]{0,4}[:=|>]{1,2}"
            r"[\s\"'\\\[({|>]{0,6}(?!(?:uk|gb|gbr|eng|no|yes|nk|na|nil|tbc|tba|unk|is|it|in|to|of|dob|sex|age|ref|"
            r"not|any|all|he|she|we|pc|dc|am|pm)\b)[a-z]{2,3}(?=[\"'\\\s]{0,3}(?:[,;|<>}\])&\n]|$))",
            ("nationalit", "citizenship", "birth", "origin"),
        ),
        ("file", r"\bdata:[^,\s]{0,80};base64,", (";base64,",)),
        (
            "home",
            r"\bsen[dt]\s+(?:(?:her|him|them|you|me|us)\s+)?back to (?:(?:her|his|their|your|my) )?(?:own )?country",
            ("back to",),
        ),
    )
)
_NUMBERS = tuple(
    _Pattern(f"reference:{name}", re.compile(pattern), ())
    for name, pattern in (
        ("permit", r"\b[a-z]{2}[x\d]\d{6}\b"),
        ("home_office", r"\b[a-z]\d{7}(?:/\d{1,2})?\b"),
        ("application", r"\b\d{4}[-/ ]\d{4}[-/ ]\d{4}[-/ ]\d{4}\b"),
        ("web_form", r"\bgwf[\s:#.-]{0,3}0?\d{8,10}\b"),
        ("appeal", r"\b(?:(?:pa|hu|ia|ea|eu|dc|da|rp|oa|ui)/\d{5}/\d{4}|ui-\d{4}-\d{6})\b"),
        ("registration", r"\basc/?\d{5,}\b"),
        ("nine_digits", r"(?<![\d+])\d{9}(?!\d)"),
        ("foreign_prefix", r"(?<![\w+])(?:\+|00)(?!44)[1-9]\d{0,2}[\s-]?\d{3}"),
        ("police", r"\b(?:\d{2}|\d{4})/\d{1,7}[a-hj-np-rt-z]\b"),
    )
)
#: Words near a pattern that show that it is about something else: a card, a parking bay, a tenancy.
_EXCUSES = {
    "visa": re.compile(
        r"\b(?:cards?|debit|credit|electron|cloned|refund\w*|pin|contactless|cash|fare|payment|purse|pension|wallet)\b"
    ),
    "overstay": re.compile(r"\b(?:welcome|park(?:ed|ing)|bay|ticket|car park|by (?:(?:an|\d+) )?(?:hours?|min\w*))\b"),
    "reference:home_office": re.compile(
        r"\b(?:tenancy|order|invoice|booking|account|crime|log|exhibit|serial|membership|ticket|payroll|collar|tracking|"
        r"policy|claim|repair|job|case|incident|meter|customer)\b"
    ),
}
#: No reference has fewer digits in its longest run than this.
_DIGITS = re.compile(r"\d{4}|\d/\d")

#: What the scan must find before it may start.
EXAMPLES = (
    "IP is Polish and lives alone.",
    "The victim, a Somali national, rang at nine.",
    "He said he would get her deported.",
    "She has NRPF and no income.",
    "No recourse; sleeping on a sofa.",
    "N R P F noted by the duty worker.",
    "I.L.R. refused last year.",
    "Her visa ran out in May.",
    "Speaks Urdu at home.",
    "She was born in Lahore.",
    "They came to the UK in a lorry.",
    "Overstayer since 2019.",
    "He is P\u200bolish.",
    "He is \u0420olish.",
    "He is &#80;olish.",
    "Reference 1234-5678-1234-5678 was on the letter.",
    "His permit RA1234567 was kept by the employer.",
    "She is undocumented.",
    "note: c2hlIGlzIGFuIG92ZXJzdGF5ZXI=",
    "note: she%20is%20an%20asylum%20seeker",
    "Victim is a refugee.",
    "A Nigerian lives at number nine.",
    '{"nationality":"POL"}',
    "data:image/jpeg;base64,/9j/4AAQ",
    "&#1055;&#1086;&#1083;&#1100;&#1082;&#1072;",
)
#: What it must not find.
NEUTRAL = (
    "Two men in dark jackets forced the rear door and left on foot at about nine.",
    "She said he would [removed] if she rang the police.",
    "Baby born in March, seen safe and well by the health visitor.",
    "Call back on Tuesday; crime number to follow.",
)


def says_who(text: str, start: int, end: int) -> bool:
    """Whether the word at `start:end` says who somebody is: a Polish national, she is Polish, speaks Polish."""
    if _PERSON_AFTER.match(text, end):
        return True
    before = text[max(0, start - 60) : start]
    return bool(_TONGUE.search(before) or (_COPULA.search(before) and not _THING_NEXT.match(text, end)))


def search(text: str, source: str, span: Callable[[int, int], tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    """Every pattern found in folded `text`, as (name, start, end) in offsets of `source`.

    A word that a group catches must begin with a capital in the source.
    """
    numbers = _NUMBERS if _DIGITS.search(text) else ()
    for name, pattern, triggers in (*_WORDS, *numbers):
        if triggers and not any(trigger in text for trigger in triggers):
            continue
        excused = _EXCUSES.get(name)
        for found in pattern.finditer(text):
            if found.lastindex and not source[span(found.start(1), found.end(1))[0]].isupper():
                continue
            if excused and excused.search(text, max(0, found.start() - 60), found.end() + 40):
                continue
            yield name, *span(found.start(), found.end())


#: After "it was the Chinese" a thing may follow; then no person was named.
_THING_NEXT = re.compile(
    r"\s+(?:takeaway|takeaways|restaurant|restaurants|food|shop|shops|supermarket|barber|barbers|teacher|lesson|"
    r"class|car|cars|phone|flag|beer|doors?|windows?|bulldog|shepherd)\b"
)
