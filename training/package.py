"""Hash of a trained model, and the record of what made it: `python -m training.package MODEL`."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from training import generate


def digest(folder: Path) -> str:
    """SHA-256 (hex) over names and contents of the model's files, without the record itself."""
    held = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "record.json":
            held.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return held.hexdigest()


def record(folder: Path) -> dict[str, object]:
    """What made the model: its training, the tables that it was made from, its hash and size."""
    tables = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(generate.TABLES.glob("*.txt"))))
    return {
        "sha256": digest(folder),
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "tables_sha256": tables.hexdigest(),
        "training": json.loads((folder / "meta.json").read_text())["training"],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    given = parser.parse_args()
    made = record(given.model)
    (given.model / "record.json").write_text(json.dumps(made, indent=2) + "\n")
    print(json.dumps(made, indent=2))
