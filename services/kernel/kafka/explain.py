"""Why does the broker not answer? What librdkafka says of a connection, in words that name the setting to look at."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from cryptography import x509

from services.kernel.kafka.admin_types import AdminClient

#: Words of OpenSSL, Kafka and librdkafka, and what they mean here; the first that fits is said.
_TLS = (
    ("certificate has expired", "the broker's certificate has expired"),
    (
        "certificate verify failed",
        "the broker's certificate is not of the authority in `SR_KAFKA_CA_FILE`, "
        "or for another name than the one in `SR_KAFKA_BOOTSTRAP`",
    ),
    ("certificate_required", _WANTED := "the broker wants a client's certificate: `SR_KAFKA_CERTIFICATE_FILE`"),
    ("certificate required", _WANTED),
    ("unknown_ca", _OTHER := "the broker does not know the authority of `SR_KAFKA_CERTIFICATE_FILE`"),
    ("unknown ca", _OTHER),
    ("certificate unknown", _OTHER),
    ("bad certificate", _WANTED),
    (
        "connecting to a plaintext broker",
        "the broker speaks no TLS at this port: `SR_KAFKA_SECURITY_PROTOCOL`, `SR_KAFKA_BOOTSTRAP`",
    ),
)
_PLAIN = "the broker hangs up at once: it may want TLS, which `SR_KAFKA_SECURITY_PROTOCOL` does not use"
_PASSWORD = "the broker refuses this user name or password: `SR_KAFKA_USERNAME`, `SR_KAFKA_PASSWORD_FILE`"  # noqa: S105
_MECHANISM = "the broker does not offer this mechanism: `SR_KAFKA_SASL_MECHANISM`"


def explain(config: Mapping[str, str], *, seconds: float = 8.0) -> str | None:
    """What keeps a client from the broker; None where it is reached, or simply does not answer.

    Args:
        config: librdkafka's connection settings.
    """
    if fault := _own_certificate(config.get("ssl.certificate.location")):
        return fault
    said: list[KafkaError] = []
    lines = _Lines()
    settings: dict[str, Any] = {**config, "error_cb": said.append, "logger": lines.logger, "reconnect.backoff.ms": 50}
    try:
        client = AdminClient(settings)
    except KafkaException as error:
        return f"the settings do not fit each other or a file cannot be read: {error.args[0].str()}"
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        with contextlib.suppress(KafkaException):
            client.list_topics(timeout=1.0)
            return None
        client.poll(0.1)
        for one in said:
            if meaning := _meaning(one):
                return meaning
        if sum("closed by peer" in line and "state apiversion_query" in line for line in lines.said) > 2:
            return _PLAIN  # told in no other way; a broker that stops hangs up too, but not three times
    return None


class _Lines(logging.Handler):
    """What librdkafka logs, kept instead of shown."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.logger = logging.Logger("explain")  # noqa: LOG001 - of its own: nothing reaches the service's log
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.said.append(record.getMessage().lower())


def _own_certificate(path: str | None) -> str | None:
    """A broker says of an expired certificate only that it does not like it, so the file is read here."""
    if path is None:
        return None
    ends = certificate_ends(Path(path))
    if ends is None:
        return "`SR_KAFKA_CERTIFICATE_FILE` is no certificate in PEM"
    if ends < datetime.now(UTC):
        return f"the certificate in `SR_KAFKA_CERTIFICATE_FILE` has expired on {ends:%Y-%m-%d}"
    return None


def certificate_ends(path: Path) -> datetime | None:
    """When the certificate of a PEM file ends; None where there is none."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return None


def _meaning(error: KafkaError) -> str | None:
    text = error.str().lower()
    if error.code() == KafkaError._AUTHENTICATION:
        return _MECHANISM if "mechanism" in text and "authentication failed" not in text else _PASSWORD
    if "ssl" in text:
        for words, meaning in _TLS:
            if words in text:
                return meaning
    return None
