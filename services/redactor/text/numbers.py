"""Numbers that identify: cover for the other masks, and minimisation."""

from __future__ import annotations

import re

from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    NhsRecognizer,
    UkNinoRecognizer,
    UkVehicleRegistrationRecognizer,
)

from services.kernel.vocabulary import EntityClass
from services.redactor.text.model import Span

_NINO = re.compile(r"\b[a-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d]\b", re.IGNORECASE)
_NHS = re.compile(r"(?<![\d-])\d{3}[- ]?\d{3}[- ]?\d{4}(?![\d-])")
_CARD = re.compile(r"(?<!\d)\d(?:[- ]?\d){11,18}(?!\d)")
_PLATE = re.compile(r"\b[A-Z]{2}\d{2} ?[A-Z]{3}\b")
_EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*\.[A-Za-z]{2,24}\b")
_PHONE = re.compile(
    r"(?<![\w+/-])(?:\+\d{1,3}(?:[\s().-]{0,3}\d){6,12}|00[1-9]\d(?:[\s().-]{0,2}\d){7,12}"
    r"|\(?0[1237-9]\d{1,4}\)?(?:[\s.-]{0,2}\d){5,8})(?![\w/]|-\d)"
)
_LICENCE = re.compile(r"\b[A-Z]{1,5}9{0,4}\d{6}[A-Z9]{2}\d[A-Z]{2}\b")
_BANK = re.compile(
    r"\bsort code\W{0,3}(?:is )?(\d{2}[- ]?\d{2}[- ]?\d{2})\b|\b(?:account|acct|a/c)(?: no\.?|"
    r" number| num)\W{0,3}(?:is )?(\d{8})\b",
    re.IGNORECASE,
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
_PLATE_LABEL = re.compile(
    r"\b(?:vrm|reg(?:istration)?|plate|index)\W{1,3}(?:no\.?\W{0,2}|"
    r"number\W{0,2})?([A-Z0-9]{2,4} ?[A-Z0-9]{3})\b"
)

_NO_DIGITS = dict.fromkeys(map(ord, "0123456789"))


class Numbers:
    """Presidio's own recognizers for checks by digit, our patterns for what it lacks or would download."""

    def __init__(self) -> None:
        self._card = CreditCardRecognizer()
        self._nhs = NhsRecognizer()
        self._nino = UkNinoRecognizer()
        self._plate = UkVehicleRegistrationRecognizer()

    def find(self, text: str) -> list[Span]:
        """Identifying numbers in normalised `text`."""
        found = []
        if "@" in text:
            found += [_span(match, "email") for match in _EMAIL.finditer(text)]
        digits = len(text) - len(text.translate(_NO_DIGITS))
        if digits < 2:
            return found
        found += [
            _span(match, "plate") for match in _PLATE.finditer(text) if self._plate.validate_result(match.group())
        ]
        found += [
            _span(match, "plate", 1) for match in _PLATE_LABEL.finditer(text) if any(map(str.isdigit, match.group(1)))
        ]
        if digits < 6:
            return found
        found += [_span(match, "phone") for match in _PHONE.finditer(text)]
        found += [_span(match, "bank", match.lastindex or 0) for match in _BANK.finditer(text)]
        found += [_span(match, "driving_licence") for match in _LICENCE.finditer(text)]
        for match in _NINO.finditer(text):
            if self._nino.analyze(match.group(), ["UK_NINO"]):
                found.append(_span(match, "national_insurance"))
        if digits < 10:
            return found
        found += [_span(match, "nhs") for match in _NHS.finditer(text) if self._nhs.validate_result(match.group())]
        for match in _CARD.finditer(text):
            if self._card.analyze(match.group(), ["CREDIT_CARD"]):
                found.append(_span(match, "card"))
        found += [_span(match, "iban") for match in _IBAN.finditer(text)]
        return found


def _span(match: re.Match[str], rule: str, group: int = 0) -> Span:
    return Span(match.start(group), match.end(group), EntityClass.IDENTIFYING, rule)
