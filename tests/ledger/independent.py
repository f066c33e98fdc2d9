"""Verifies an export by its README alone: the standard library and one Ed25519, none of the project's code."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def verify(folder: Path, key_hex: str) -> int:
    """Number of entries; raises AssertionError where anything does not hold."""
    key = bytes.fromhex(key_hex)
    note = (folder / "checkpoint").read_text(encoding="utf-8")
    text, signatures = note.split("\n\n")
    origin, size, root64 = text.split("\n")
    signed = (text + "\n").encode()
    root, count = base64.b64decode(root64), int(size)
    line = next(line for line in signatures.splitlines() if line.startswith(f"\u2014 {origin} "))
    blob = base64.b64decode(line.rsplit(" ", 1)[1])
    assert blob[:4] == sha256(origin.encode() + b"\x0a\x01" + key)[:4]
    Ed25519PublicKey.from_public_bytes(key).verify(blob[4:], signed)
    done = 0
    for raw in (folder / "entries.jsonl").read_text(encoding="utf-8").splitlines():
        one = json.loads(raw)
        r = bytes.fromhex(one["hash"])
        if "base64" in one:
            assert sha256(b"\x00" + base64.b64decode(one["base64"])) == r
        elif one["entry"] is not None:
            assert sha256(b"\x00" + one["entry"].encode()) == r
        fn, sn = one["leaf"], count - 1
        for p in (bytes.fromhex(node) for node in one["proof"]):
            assert sn != 0
            if fn % 2 or fn == sn:
                r = sha256(b"\x01" + p + r)
                while fn % 2 == 0 and fn != 0:
                    fn, sn = fn // 2, sn // 2
            else:
                r = sha256(b"\x01" + r + p)
            fn, sn = fn // 2, sn // 2
        assert sn == 0
        assert r == root
        done += 1
    return done
