"""The one neutral token, and the closed reasons for which a look-alike may stay."""

from __future__ import annotations

from enum import StrEnum

#: Every protected class and every identifying number is hidden by this same token.
TOKEN = "[removed]"  # noqa: S105 - a mask, not a credential


class VoucherReason(StrEnum):
    """Why the redactor left a word that a plain lexicon would have hit."""

    STREET_NAME = "street_name"
    SURNAME = "surname"
    GIVEN_NAME = "given_name"
    THING_MODIFIED = "thing_modified"
    VERB = "verb"
    BRAND = "brand"
    INSTITUTION = "institution"
    HOLIDAY = "holiday"
    PHRASE = "phrase"
    UK_PLACE = "uk_place"
    NAME_FIELD = "name_field"
