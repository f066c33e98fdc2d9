"""The closed tables by which a view makes a value coarser. Each returns None for what it cannot place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date

from services.router.residual_contact import contact_words

#: A table takes the redacted value and today's date, and returns what may leave.
Table = Callable[[object, date], str | None]

_BANDS = ((18, "0-17"), (25, "18-24"), (35, "25-34"), (45, "35-44"), (55, "45-54"), (65, "55-64"), (131, "65+"))
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}(?=$|T)")
_WARD = re.compile(r"E05\d{6}\Z")
_PHONE = re.compile(r"^(?:(?:\+44|0044)\s?(?:\(0\)\s?)?|0)(\d[\d ()-]*)$", re.ASCII)
#: Global and ordinary British mail domains; a national domain of another country says where somebody is from.
_MAIL = frozenset(
    (
        "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "hotmail.co.uk", "live.com", "live.co.uk",
        "msn.com", "yahoo.com", "yahoo.co.uk", "icloud.com", "me.com", "btinternet.com", "sky.com", "talktalk.net",
        "virginmedia.com", "ntlworld.com", "proton.me", "protonmail.com", "aol.com", "example.com", "example.org",
    )
)  # fmt: skip
_EMAIL = re.compile(r"([A-Za-z0-9._%+-]{1,64})@([A-Za-z0-9.-]+)\Z")


def age_band(value: object, today: date) -> str | None:
    """Band of an age in whole years, or of a birth date (YYYY-MM-DD) on `today`."""
    if isinstance(value, str):
        born = _day(value)
        if born is None:
            return None
        value = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return next((band for limit, band in _BANDS if value < limit), None)


def ward(value: object, _today: date) -> str | None:
    """An ONS ward code, nothing else."""
    return value if isinstance(value, str) and _WARD.match(value) else None


def day(value: object, _today: date) -> str | None:
    """The day of a time, YYYY-MM-DD."""
    return value[:10] if isinstance(value, str) and _day(value) else None


def month(value: object, _today: date) -> str | None:
    """The month of a time, YYYY-MM."""
    return value[:7] if isinstance(value, str) and _day(value) else None


def quarter(value: object, _today: date) -> str | None:
    """The quarter of a time, YYYY-Qn."""
    found = _day(value) if isinstance(value, str) else None
    return None if found is None else f"{found.year:04}-Q{(found.month + 2) // 3}"


def uk_phone(value: object, _today: date) -> str | None:
    """A British telephone number as 0 and ten or nine digits, so that its spelling tells nothing."""
    found = _PHONE.match(unicodedata.normalize("NFKC", value).strip()) if isinstance(value, str) else None
    if found is None:
        return None
    digits = "".join(filter(str.isdigit, found.group(1)))
    return f"0{digits}" if len(digits) in (9, 10) and not digits.startswith("0") else None


def email_known(value: object, _today: date) -> str | None:
    """An e-mail address of a domain that many people in Britain use, unless its words give away."""
    found = _EMAIL.match(value.strip()) if isinstance(value, str) and value.isascii() else None
    if found is None or found.group(2).lower() not in _MAIL or contact_words().gives_away(found.group(1)):
        return None
    return found.group()


def _day(value: str) -> date | None:
    if not _DATE.match(value):
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None


#: By the name that a view writes after `coarsen:`. `text` is a copy of redacted free text.
TABLES: dict[str, Table] = {
    "age_band": age_band,
    "ward": ward,
    "day": day,
    "month": month,
    "quarter": quarter,
    "uk_phone": uk_phone,
    "email_known": email_known,
}
