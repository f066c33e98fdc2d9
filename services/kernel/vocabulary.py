"""The closed vocabularies: one place for each word that schemas, policies, ledger and metrics share."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person is in a record. One person may hold several."""

    VICTIM = "victim"
    WITNESS = "witness"
    REPORTING_PERSON = "reporting_person"
    CHILD = "child"
    FAMILY = "family"
    PROFESSIONAL = "professional"
    SUSPECT = "suspect"
    OFFENDER = "offender"
    ARRESTED = "arrested"
    UNKNOWN = "unknown"


#: Only a person whose every role is one of these can ever be unprotected.
ACCUSED_ROLES = frozenset({Role.SUSPECT, Role.OFFENDER, Role.ARRESTED})


class Tag(StrEnum):
    """Meaning of one leaf of a schema; `schemas/tags.yaml` says what each does."""

    PERSON = "PERSON"
    ROLE = "ROLE"
    RELATIONSHIP = "RELATIONSHIP"
    AREA = "AREA"
    CONSENT = "CONSENT"
    TIME = "TIME"
    CODE = "CODE"
    RECORD_ID = "RECORD_ID"
    RECORD_VERSION = "RECORD_VERSION"
    REFERENCE = "REFERENCE"
    NATIONALITY = "NATIONALITY"
    COUNTRY_OF_ORIGIN = "COUNTRY_OF_ORIGIN"
    IMMIGRATION_STATUS = "IMMIGRATION_STATUS"
    IMMIGRATION_DOCUMENT = "IMMIGRATION_DOCUMENT"
    IMMIGRATION_CONTACT = "IMMIGRATION_CONTACT"
    ENTRY_ROUTE = "ENTRY_ROUTE"
    LANGUAGE = "LANGUAGE"
    PROXY = "PROXY"
    ETHNICITY = "ETHNICITY"
    POLICE_ID = "POLICE_ID"
    MARKER = "MARKER"
    TASK = "TASK"
    NAME = "NAME"
    CONTACT = "CONTACT"
    ADDRESS = "ADDRESS"
    BIRTH_DATE = "BIRTH_DATE"
    IDENTIFIER = "IDENTIFIER"
    FREE_TEXT = "FREE_TEXT"
    ATTACHMENT = "ATTACHMENT"


class EntityClass(StrEnum):
    """What a span of text discloses (the eight classes), or that it identifies."""

    NATIONALITY = "NATIONALITY"
    COUNTRY_OF_ORIGIN = "COUNTRY_OF_ORIGIN"
    IMMIGRATION_STATUS = "IMMIGRATION_STATUS"
    IMMIGRATION_DOCUMENT = "IMMIGRATION_DOCUMENT"
    IMMIGRATION_CONTACT = "IMMIGRATION_CONTACT"
    ENTRY_ROUTE = "ENTRY_ROUTE"
    LANGUAGE = "LANGUAGE"
    PROXY = "PROXY"
    IDENTIFYING = "IDENTIFYING"  # phone, e-mail, document and insurance numbers: cover for the others
    UNREADABLE = "UNREADABLE"  # the detector cannot read it: masked whole


class OutcomeKind(StrEnum):
    """What became of one input offset: exactly one of these."""

    REDACTED = "redacted"
    FORWARDED = "forwarded"
    WITHHELD = "withheld"
    QUARANTINED = "quarantined"


class CoarseReason(StrEnum):
    """The reason that operators, metrics and senders may see."""

    FORMAT = "format"
    CONTENT = "content"
    POLICY = "policy"
    SYSTEM = "system"


class Reason(StrEnum):
    """The exact reason; sealed detail, never open."""

    NOT_JSON = "not_json"
    NOT_UTF8 = "not_utf8"
    LONE_SURROGATE = "lone_surrogate"
    DUPLICATE_KEY = "duplicate_key"
    BAD_NUMBER = "bad_number"
    TOO_DEEP = "too_deep"
    TOO_MANY_LEAVES = "too_many_leaves"
    OVERSIZE = "oversize"
    EMPTY = "empty"
    MISSING_HEADER = "missing_header"
    TOPIC_MISMATCH = "topic_mismatch"
    UNKNOWN_SCHEMA = "unknown_schema"
    SCHEMA_INVALID = "schema_invalid"
    REDACTED_INVALID = "redacted_invalid"
    TEXT_HELD = "text_held"
    RESIDUAL = "residual"
    VIEW_INVALID = "view_invalid"
    ATTESTATION_MISSING = "attestation_missing"
    ATTESTATION_INVALID = "attestation_invalid"
    POLICY_ERROR = "policy_error"
    DETECTOR_REFUSED = "detector_refused"
    NO_POLICY_PERMITS = "no_policy_permits"
    FORBIDDEN = "forbidden"
    TOMBSTONE = "tombstone"
    CANARY_INVALID = "canary_invalid"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    FAULT = "fault"

    @property
    def coarse(self) -> CoarseReason:
        """The level that may leave."""
        return _COARSE[self]


_COARSE: dict[Reason, CoarseReason] = {
    **dict.fromkeys(
        (
            Reason.NOT_JSON, Reason.NOT_UTF8, Reason.LONE_SURROGATE, Reason.DUPLICATE_KEY, Reason.BAD_NUMBER,
            Reason.TOO_DEEP, Reason.TOO_MANY_LEAVES, Reason.OVERSIZE, Reason.EMPTY, Reason.MISSING_HEADER,
            Reason.TOPIC_MISMATCH, Reason.UNKNOWN_SCHEMA, Reason.SCHEMA_INVALID, Reason.TOMBSTONE,
            Reason.CANARY_INVALID,
        ),
        CoarseReason.FORMAT,
    ),
    **dict.fromkeys((Reason.REDACTED_INVALID, Reason.TEXT_HELD), CoarseReason.CONTENT),
    **dict.fromkeys(
        (
            Reason.RESIDUAL, Reason.VIEW_INVALID, Reason.ATTESTATION_MISSING, Reason.ATTESTATION_INVALID,
            Reason.POLICY_ERROR, Reason.DETECTOR_REFUSED, Reason.NO_POLICY_PERMITS, Reason.FORBIDDEN,
        ),
        CoarseReason.POLICY,
    ),
    **dict.fromkeys((Reason.TIMEOUT, Reason.CRASHED, Reason.FAULT), CoarseReason.SYSTEM),
}  # fmt: skip


class Risk(StrEnum):
    """How grave the agency coded a person's danger. What nobody graded, or could not be read, is `unknown`."""

    UNKNOWN = "unknown"
    STANDARD = "standard"
    MEDIUM = "medium"
    HIGH = "high"


class Operation(StrEnum):
    """Words of section 62 of the Data Protection Act 2018."""

    COLLECTION = "collection"
    ALTERATION = "alteration"
    CONSULTATION = "consultation"
    DISCLOSURE = "disclosure"
    COMBINATION = "combination"
    ERASURE = "erasure"
