"""How the rival is installed: its program is copied, as slowly or badly as STAND_IN_INSTALL says."""

from __future__ import annotations

from pathlib import Path

from compbench.systems.installation import Installation

PROGRAM = Path(__file__).resolve().parent.parent.parent / "flat_server.py"
COPY = f"""\
import os, shutil, sys, time
told = os.environ.get("STAND_IN_INSTALL", "")
print("fetching the server")
open("half", "w").close()
if told == "fails":
    sys.exit("no such package: flat-server==1.0")
time.sleep(60 if told == "hangs" else 0)
shutil.copy({str(PROGRAM)!r}, sys.argv[1] + "/flat_server.py")
"""
INSTALLATION = Installation(
    version="1.0",
    result="flat_server.py",
    commands=(("{python}", "copy.py", "{folder}"),),
    files={"copy.py": COPY},
    tools={"sh": "the copying needs a shell"},
    download_mb=3,
    licence="Apache-2.0",
    remark="it is a stand-in",
)
