"""Certificates and passwords of a broker and its clients, as files; for development, and for a compose file.

In production each machine makes its own key, and an authority of the organisation signs the request. The folder:

    ca.pem, ca.key                          the authority; the key is needed only here
    nodes/<node>/keystore.pem               key, certificate and authority of a broker node, as Kafka reads PEM
    clients/<principal>/certificate.pem     CN is the principal
    clients/<principal>/key.pem
    clients/<principal>/password            of SCRAM-SHA-256
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.kernel.errors import ConfigError
from services.kernel.private import make_private

#: Days of a certificate. One that ends within `RENEWED` days is made anew.
DAYS, RENEWED = 397, 30
_AUTHORITY_DAYS = 3650
#: A common name has 64 characters at most; this one is a folder's too.
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9_*][A-Za-z0-9._-]{0,252}")


@dataclass(frozen=True, slots=True)
class Made:
    """How many files of a kind were made; the others were there."""

    authority: bool
    nodes: int
    certificates: int
    passwords: int


def make(
    folder: Path, *, nodes: Mapping[str, Iterable[str]], principals: Iterable[str], now: datetime | None = None,
    days: int = DAYS,
) -> Made:  # fmt: skip
    """Make what lacks; nothing that is good is replaced.

    Args:
        nodes: names and addresses by which each node is reached.
        principals: accounts of clients.
        now: when certificates begin.
        days: how long they hold.

    Raises:
        ConfigError: a name is none, the folder cannot be written, or its authority cannot be read.
    """
    nodes = {node: tuple(names) for node, names in nodes.items()}
    hosts = dict.fromkeys(name for names in nodes.values() for name in names)
    faults = [f"`{name}` is no node: 64 letters, digits and `. _ -`" for name in nodes if not _NODE.fullmatch(name)]
    faults += [f"`{name}` is no host: a name in ASCII, or an address" for name in hosts if _no_host(name)]
    if faults:
        raise ConfigError("broker secrets", faults)
    moment = now or datetime.now(UTC)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority, new = _authority(folder, moment)
        made = [
            _leaf(authority, folder / "nodes" / node / "keystore.pem", None, node, names, moment, days)
            for node, names in nodes.items()
        ]
        clients = [folder / "clients" / principal for principal in principals]
        signed = [
            _leaf(authority, one / "certificate.pem", one / "key.pem", one.name, (), moment, days) for one in clients
        ]
        given = [_write(one / "password", secrets.token_urlsafe(24)) for one in clients]
    except OSError as error:
        raise ConfigError("broker secrets", [f"`{error.filename}`: {error.strerror}"]) from error
    return Made(new, sum(made), sum(signed), sum(given))


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def _authority(folder: Path, now: datetime) -> tuple[_Authority, bool]:
    path, key_path = folder / "ca.pem", folder / "ca.key"
    if path.exists() and key_path.exists():
        try:
            key = load_pem_private_key(key_path.read_bytes(), None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - caught below
            return _Authority(x509.load_pem_x509_certificate(path.read_bytes()), key), False
        except (ValueError, AssertionError) as error:
            raise ConfigError("broker secrets", [f"`{path}` and its key are damaged: remove the folder"]) from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "safe-reporting development authority")])
    certificate = (
        _builder(name, name, key.public_key(), now, _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _pem(key))
    path.unlink(missing_ok=True)
    _write(path, certificate.public_bytes(Encoding.PEM).decode())
    return _Authority(certificate, key), True


def _leaf(
    authority: _Authority, path: Path, key_path: Path | None, name: str, hosts: Iterable[str], now: datetime, days: int
) -> bool:
    """A certificate with its key, in one file or two; False where a good one is there."""
    if path.exists() and (key_path is None or key_path.exists()) and _holds(path, now):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if key_path is None:  # a node is a client of the others
        purposes.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(subject, authority.certificate.subject, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )
    if names := [_host(host) for host in hosts]:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    for old in (path, key_path):
        if old is not None:
            old.unlink(missing_ok=True)
    if key_path is None:
        _write(path, _pem(key) + certificate + authority.certificate.public_bytes(Encoding.PEM).decode())
    else:
        _write(key_path, _pem(key))
        _write(path, certificate)
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _no_host(name: str) -> bool:
    """Whether it is neither an address nor a name."""
    try:
        return isinstance(_host(name), x509.DNSName) and not _HOST.fullmatch(name)
    except ValueError:  # not ASCII
        return True


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _holds(path: Path, now: datetime) -> bool:
    """Whether the certificate in a file holds for some time to come."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (ValueError, IndexError):
        return False
    return found.not_valid_after_utc > now + timedelta(days=RENEWED)


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _write(path: Path, text: str) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return make_private(path, text)
