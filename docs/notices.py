"""Writes the tables of notices.md, which are the catalogues of the code.

python docs/notices.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from compbench.model import catalogue  # noqa: E402 - the checkout need not be installed
from compbench.preflight import findings  # noqa: E402

PAGE = ROOT / "docs" / "notices.md"


def tables() -> str:
    """Return all that follows the page's introduction."""
    return f"{catalogue.notices_as_markdown()}\n{findings.findings_as_markdown()}"


if __name__ == "__main__":
    introduction = PAGE.read_text(encoding="utf-8").partition("## ")[0]
    PAGE.write_text(introduction + tables(), encoding="utf-8")
