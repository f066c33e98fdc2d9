"""The day in Europe/London, by which agreements and approvers begin and end."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.kernel.errors import ConfigError


def london_day(milliseconds: int) -> date:
    """The Europe/London day of a UTC time in milliseconds since the epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(london()).date()


def london() -> ZoneInfo:
    """The zone.

    Raises:
        ConfigError: its data are not installed.
    """
    try:
        return ZoneInfo("Europe/London")
    except ZoneInfoNotFoundError as error:
        raise ConfigError("clock", ["time zone data for Europe/London is not installed"]) from error
