"""Accounts of SCRAM-SHA-256 on a broker: which there are, and those that lack made."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from confluent_kafka import KafkaException

from services.kernel.errors import UnreachableError
from services.kernel.kafka.admin_types import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from services.kernel.kafka.client import translate

_ITERATIONS = 4096


def ensure(config: Mapping[str, str], passwords: Mapping[str, str], *, seconds: float = 30.0) -> tuple[int, list[str]]:
    """Make the accounts that lack; a password that is there stays.

    Args:
        config: librdkafka's settings of an administrator.
        passwords: by name of account.
        seconds: for the whole.

    Returns:
        How many were made, and the names of accounts on the broker that `passwords` does not have.

    Raises:
        SafeReportingError: broker unreachable, or the administrator refused.
    """
    admin = AdminClient({**config, "log_level": 0})
    try:
        asked: Any = admin.describe_user_scram_credentials()
        known = set(_answer(asked, seconds))
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, _ITERATIONS)
        missing: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(name, info, password.encode())
            for name, password in passwords.items()
            if name not in known
        ]
        for future in admin.alter_user_scram_credentials(missing).values() if missing else ():
            _answer(future, seconds)
    except KafkaException as error:
        raise translate(error, "making accounts") from error
    return len(missing), sorted(known - set(passwords))


def _answer(future: Future[Any], seconds: float) -> Any:
    try:
        return future.result(seconds)
    except FutureTimeout as error:
        raise UnreachableError("the broker did not answer in time about its accounts") from error
