"""Where the project's data files are: the checkout, or the share folder of an installed wheel."""

from __future__ import annotations

import sys
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]
_SHARE = Path(sys.prefix) / "share" / "safe-reporting"

#: Folder that holds schemas/, policies/, samples/ and deploy/topology.yaml.
ROOT = _CHECKOUT if (_CHECKOUT / "schemas" / "tags.yaml").exists() else _SHARE
