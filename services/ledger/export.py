"""Entries with all that a third party needs to verify them without this software: written, and verified offline.

The format is told in the export's own README.
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.kernel.errors import ConfigError, RefusedError
from services.kernel.whole import whole_folder
from services.ledger import note, tree
from services.ledger.entries import Reader, let_out
from services.ledger.note import Signed
from services.ledger.search import Found
from services.ledger.verify import Report, Tampering

ENTRIES, TABLE, CHECKPOINT, KEY, README = "entries.jsonl", "entries.csv", "checkpoint", "log.pub", "README.txt"
_COLUMNS = ("leaf", "time", "operation", "service", "agency", "feed", "record", "outcome", "reason", "partners")

_README = """\
Export of the redaction ledger of safe-reporting
================================================

entries.jsonl   one JSON object a line: "leaf" (number, from 0), "entry" (the exact text of the entry, or null where
                it was erased), "hash" (64 hex digits), "proof" (list of 64 hex digits, lowest first). An entry that
                is no UTF-8 text stands in "base64" instead.
entries.csv     the same entries for reading; nothing is verified by it
checkpoint      the signed statement of the whole log
log.pub         the log's public key, 64 hex digits (Ed25519). Get it from a second source too, and compare.

How to verify it with any SHA-256 and Ed25519
---------------------------------------------
1. checkpoint. Its first three lines are: origin, number of leaves N, root (base64). The signed bytes are these three
   lines with their line feeds. After an empty line stand signatures: "\u2014 NAME BASE64". Decode BASE64: the first 4
   bytes are a key id, the other 64 the signature. For NAME = origin the key id is the first 4 bytes of
   SHA-256(NAME + 0x0A + 0x01 + public key). Verify it with log.pub. (C2SP signed-note, tlog-checkpoint.)
2. Each line of entries.jsonl. hash = SHA-256(0x00 + UTF-8 bytes of "entry"), unless "entry" is null.
3. Each proof, RFC 9162 section 2.1.3.2. Let fn = leaf, sn = N - 1, r = hash. For each p of "proof":
   stop with an error if sn = 0; if fn is odd or fn = sn: r = SHA-256(0x01 + p + r), and while fn is even and not 0,
   halve fn and sn; else r = SHA-256(0x01 + r + p); then halve fn and sn (rounding down).
   At the end sn must be 0 and r must be the root.
4. A run of leaves without a gap is complete: nothing between its first and its last was left out.

An entry with "canary" is of a record that the operator planted: its decisions name partners, and none of them got it.
The field "sealed" of an entry opens only with a compliance key. "salt" is random, so that an erased entry cannot be
found by trying.
"""


@dataclass(frozen=True, slots=True)
class Written:
    """What an export holds."""

    entries: int
    size: int


def write(
    folder: Path, found: Iterable[Found], *, hashes: tree.Hashes, signed: Signed, key: Ed25519PublicKey
) -> Written:
    """Write an export into an empty folder.

    Args:
        found: leaves below the checkpoint's size; others are left out.
        signed: the checkpoint that the proofs lead to.

    Raises:
        ConfigError: the folder is not empty, or cannot be written; then nothing is left in it.
    """
    with whole_folder(folder):
        return _fill(folder, found, hashes=hashes, signed=signed, key=key)


def _fill(
    folder: Path, found: Iterable[Found], *, hashes: tree.Hashes, signed: Signed, key: Ed25519PublicKey
) -> Written:
    size, count = signed.checkpoint.size, 0
    with (folder / ENTRIES).open("wb") as lines, (folder / TABLE).open("w", newline="", encoding="utf-8") as table:
        rows = csv.writer(table)
        rows.writerow(_COLUMNS)
        for one in found:
            if one.leaf >= size:
                continue
            lines.write(_line(one, hashes, size) + b"\n")
            rows.writerow(_row(one))
            count += 1
    (folder / CHECKPOINT).write_text(signed.note, encoding="utf-8")
    (folder / KEY).write_text(key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex() + "\n")
    (folder / README).write_text(_README, encoding="utf-8")
    return Written(count, size)


def _line(one: Found, hashes: tree.Hashes, size: int) -> bytes:
    (digest,) = hashes.read(0, one.leaf, 1)
    proof = tree.inclusion(hashes, one.leaf, size)
    made: dict[str, Any] = {"leaf": one.leaf, "entry": None, "hash": digest.hex(), "proof": [p.hex() for p in proof]}
    if one.body is not None:
        try:
            made["entry"] = one.body.decode()
        except UnicodeDecodeError:
            made["base64"] = base64.b64encode(one.body).decode()
    return orjson.dumps(made)


def _row(one: Found) -> list[Any]:
    entry = one.entry or {}
    if not entry:
        return [one.leaf, "erased" if one.body is None else "no entry"]
    partners = [decision["partner"] for decision in let_out(entry)]
    return [one.leaf, *(entry[name] or "" for name in _COLUMNS[1:-1]), " ".join(partners)]


def _body(line: dict[str, Any]) -> bytes | None:
    if "base64" in line:
        return base64.b64decode(line["base64"], validate=True)
    text = line["entry"]
    return None if text is None else str(text).encode()


def verify(folder: Path, key: Ed25519PublicKey, reader: Reader, *, older: Sequence[Ed25519PublicKey] = ()) -> Report:
    """Verify an export with nothing but the log's public key, or those that it had before.

    1. The checkpoint is signed by one of these keys.
    2. Each entry has the hash of its leaf, and its proof leads to the signed root.
    3. Numbers rise, and ids are not repeated. A leaf that is no entry was none in the log: it is counted.

    Raises:
        ConfigError: a file is missing or is none.
    """
    report = Report()
    try:
        signed = note.read((folder / CHECKPOINT).read_text(encoding="utf-8"))
        lines = (folder / ENTRIES).read_bytes().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("export", [f"`{folder}` has no readable `{CHECKPOINT}` and `{ENTRIES}`"]) from error
    except RefusedError as error:
        report.add(None, Tampering.CHECKPOINT, str(error))
        return report
    try:
        note.verify(signed, key, *older)  # 1
        report.checkpoints = 1
    except RefusedError as error:
        report.add(None, Tampering.CHECKPOINT, str(error))
    before, ids = -1, set()
    for number, line in enumerate(lines, 1):
        try:
            one = orjson.loads(line)
            leaf, digest, body = int(one["leaf"]), bytes.fromhex(one["hash"]), _body(one)
            proof = [bytes.fromhex(node) for node in one["proof"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError("export", [f"`{ENTRIES}` line {number} is no line of an export"]) from error
        report.leaves += 1
        root = signed.checkpoint.root
        if not tree.verify_inclusion(digest, leaf, signed.checkpoint.size, proof, root):  # 2
            report.add(leaf, Tampering.REHASHED, "its proof does not lead to the signed root")
        if leaf <= before:  # 3
            report.add(leaf, Tampering.REORDERED)
        before = max(before, leaf)
        if body is None:
            report.erased += 1
            continue
        if hashlib.sha256(b"\x00" + body).digest() != digest:
            report.add(leaf, Tampering.CHANGED)
        if reader.read(body, 0, 0).fault is not None:
            report.kept_aside += 1
            continue
        id_ = orjson.loads(body)["id"]
        if id_ in ids:
            report.add(leaf, Tampering.DOUBLED)
        ids.add(id_)
    return report
