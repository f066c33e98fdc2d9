"""A witness remembers what the log was, and cosigns only a log that grew from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.kernel.errors import ConfigError, RefusedError
from services.kernel.whole import write_whole
from services.ledger import note, tree
from services.ledger.note import Checkpoint, Signed


class Witness:
    """Keeps the last checkpoint that it cosigned in a file of its own, away from the log.

    Args:
        log_key: the log's public key.
    """

    def __init__(self, state: Path, key: Ed25519PrivateKey, *, name: str, log_key: Ed25519PublicKey) -> None:
        self._state = state
        self._key = key
        self._name = name
        self._log_key = log_key

    @property
    def last(self) -> Checkpoint | None:
        """What it cosigned last.

        Raises:
            ConfigError: the file holds no checkpoint.
        """
        if not self._state.exists():
            return None
        try:
            return note.read(self._state.read_text(encoding="utf-8")).checkpoint
        except (UnicodeDecodeError, RefusedError) as error:
            fault = f"`{self._state}` holds no checkpoint: it is what this witness cosigned last, or not there yet"
            raise ConfigError("witness", [fault]) from error

    def look(self, signed: Signed, proof: Sequence[bytes], *, seconds: int) -> Signed:
        """Cosign a checkpoint.

        1. It is signed by the log, and of the same log as before.
        2. It is no smaller than the last one.
        3. The proof shows that the last one is its beginning.

        Args:
            proof: consistency proof from the last size to this one; empty for the first, or the same size.
            seconds: since the epoch.

        Raises:
            RefusedError: the log shrank, forked, or is another's; nothing is cosigned.
            ConfigError: what was cosigned cannot be kept.
        """
        note.verify(signed, self._log_key)  # 1
        now, last = signed.checkpoint, self.last
        if last is not None:
            if now.origin != last.origin:
                raise RefusedError(f"this is the log `{now.origin}`, the last one was `{last.origin}`")
            if now.size < last.size:  # 2
                raise RefusedError(f"the log shrank: {last.size} leaves before, {now.size} now")
            if not tree.verify_consistency(last.size, last.root, now.size, now.root, proof):  # 3
                raise RefusedError(f"the log forked: its first {last.size} leaves are not those that were cosigned")
        done = note.cosign(signed, self._key, name=self._name, seconds=seconds)
        write_whole(self._state, done.note.encode())
        return done
