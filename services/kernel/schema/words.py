"""Closed lists that feed schemas draw on."""

from __future__ import annotations

from enum import StrEnum

#: The ten boroughs of Greater Manchester by ONS code, and their names for people.
BOROUGHS = {
    "E08000001": "Bolton",
    "E08000002": "Bury",
    "E08000003": "Manchester",
    "E08000004": "Oldham",
    "E08000005": "Rochdale",
    "E08000006": "Salford",
    "E08000007": "Stockport",
    "E08000008": "Tameside",
    "E08000009": "Trafford",
    "E08000010": "Wigan",
}
UNKNOWN_AREA = "unknown"


class Marker(StrEnum):
    """Coded markers of a record."""

    DOMESTIC_ABUSE = "domestic_abuse"
    EXPLOITATION = "exploitation"
    MODERN_SLAVERY = "modern_slavery"
    HATE = "hate"
    COUNTER_ALLEGATION = "counter_allegation"
    BURGLARY = "burglary"
    THEFT = "theft"
    VIOLENCE = "violence"
    FRAUD = "fraud"
    DRUGS = "drugs"
    ASB = "asb"
    OTHER = "other"


#: With one of these nobody in the record is unprotected: who harmed whom is not settled by a code.
PROTECTING_MARKERS = frozenset(
    {
        Marker.DOMESTIC_ABUSE,
        Marker.EXPLOITATION,
        Marker.MODERN_SLAVERY,
        Marker.HATE,
        Marker.COUNTER_ALLEGATION,
    }
)


class PersonMark(StrEnum):
    """What a leaf says of the person object that encloses it (`x-person`)."""

    ID = "id"
    CHARGED = "charged"
    BIRTH_DATE = "birth_date"
    AGE = "age"


class RecordMark(StrEnum):
    """What a leaf says of the whole record (`x-record`)."""

    ID = "id"
    VERSION = "version"
    MARKER = "marker"


class ReferenceMark(StrEnum):
    """What a reference points at (`x-refers`); without the word, at a person."""

    THING = "thing"


class RiskMark(StrEnum):
    """Where risk that was lifted from text goes (`x-risk`)."""

    THREATS = "threats"
    COERCIVE_CONTROL = "coercive_control"
    CONTROLLED = "documents_or_money_controlled"


#: Values of `x-risk: threats`.
THREATS = frozenset({"kill_or_harm", "children", "home", "money", "image", "exposure", "report_to_an_authority"})
