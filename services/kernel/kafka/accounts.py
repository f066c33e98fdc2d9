"""Accounts of SCRAM-SHA-256 on a broker: which there are, and those that lack made."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from services.kernel.errors import RefusedError, UnreachableError
from services.kernel.kafka.admin_types import (
    AclOperation,
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from services.kernel.kafka.client import translate
from services.kernel.kafka.topology_file import INNER

_ITERATIONS = 4096
#: Answers of a broker that cannot tell anybody.
_UNTOLD = {KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE}


def known(config: Mapping[str, str], *, seconds: float) -> frozenset[str] | None:
    """Names of the accounts that the broker holds.

    Args:
        config: librdkafka's settings of a principal that may describe the cluster.
        seconds: for the answer.

    Returns:
        None where that is not known: this principal may not ask, or the broker has none and takes them from elsewhere.

    Raises:
        UnreachableError: the broker does not answer.
    """
    admin = AdminClient({**config, "log_level": 0})  # kept until the answer is there: its end takes its questions back
    try:
        if not may_describe(admin, seconds=seconds):
            return None
        asked: Any = admin.describe_user_scram_credentials()
        return frozenset(_answer(asked, seconds)) or None
    except KafkaException as error:
        if error.args[0].code() in _UNTOLD:
            return None
        raise translate(error, "asking for accounts") from error


def ensure(config: Mapping[str, str], passwords: Mapping[str, str], *, seconds: float = 30.0) -> tuple[int, list[str]]:
    """Make the accounts that lack; a password that is there stays.

    Args:
        config: librdkafka's settings of an administrator.
        passwords: by name of account.
        seconds: for the whole.

    Returns:
        How many were made, and the names of accounts on the broker that neither `passwords` nor the broker itself has.

    Raises:
        SafeReportingError: broker unreachable, or the administrator refused.
    """
    admin = AdminClient({**config, "log_level": 0})
    try:
        if not may_describe(admin, seconds=seconds):
            raise RefusedError("the broker tells this principal no accounts: use an administrator's")
        asked: Any = admin.describe_user_scram_credentials()
        there = set(_answer(asked, seconds))
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, _ITERATIONS)
        missing: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(name, info, password.encode())
            for name, password in passwords.items()
            if name not in there
        ]
        for future in admin.alter_user_scram_credentials(missing).values() if missing else ():
            _answer(future, seconds)
    except KafkaException as error:
        raise translate(error, "making accounts") from error
    return len(missing), sorted(there - set(passwords) - INNER)


def may_describe(admin: AdminClient, *, seconds: float) -> bool:
    """Whether this principal may ask for accounts and permissions.

    Asked first, for librdkafka 2.16.0 hears no refusal of these questions: it answers that there are no permissions at
    all, and for accounts destroys its memory (`munmap_chunk(): invalid pointer`), and with it the process.

    Raises:
        UnreachableError: the broker does not answer in `seconds`.
        KafkaException: it does not answer as it should.
    """
    cluster = _answer(admin.describe_cluster(include_authorized_operations=True), seconds)
    return AclOperation.DESCRIBE in (cluster.authorized_operations or ())


def _answer(future: Future[Any], seconds: float) -> Any:
    try:
        return future.result(seconds)
    except FutureTimeout as error:
        raise UnreachableError("the broker did not answer in time about its accounts") from error
