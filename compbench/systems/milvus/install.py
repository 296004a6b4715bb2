"""Milvus from PyPI: the programs of the package `milvus`, the newest that a registry has; its Python is not used."""

from __future__ import annotations

from compbench.systems.installation import Installation, pip_command, requirement

_VERSION = "2.3.5"
# Of its files for Linux and macOS, as PyPI tells them; only the first can be kept apart, and is used.
_PACKAGE = requirement("milvus", _VERSION, "69515a0630ce29fd10e101fa442afea8ca1387b93a456cd9bd41fdf3deb93d04")
# The package would do the first half when its server is started from Python, into the user's home; of its settings
# compbench sets some by environment, and leaves the others as they are.
_UNPACK = r'''"""Unpacks the programs, and the settings with the defaults that the package names."""
import lzma
import re
import shutil
from pathlib import Path

data = Path("package/milvus/data")
for folder in ("bin", "configs"):
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir()
for packed in sorted((data / "bin").glob("*.lzma")):
    path = Path("bin") / packed.stem
    with lzma.open(packed) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    path.chmod(0o755)
template = (data / "config.yaml.template").read_text(encoding="utf-8")
settings = re.sub(r"\{\{\s*\w+(?:\(\w+\))?\s*(?::\s*(.*?))?\s*\}\}", lambda found: found[1] or '""', template)
shutil.copyfile(data / "glog.conf", "configs/glog.conf")
(version,) = Path("package").glob("milvus-*.dist-info")
Path("version").write_text(version.stem.replace("-", " ") + "\n", encoding="utf-8")
shutil.rmtree("package")
Path("configs/milvus.yaml").write_text(settings, encoding="utf-8")
'''

INSTALLATION = Installation(
    version=_VERSION,
    result="configs/milvus.yaml",
    commands=(pip_command("package"), ("{python}", "unpack.py")),
    files={"requirements.txt": _PACKAGE, "unpack.py": _UNPACK},
    tools={},
    download_mb=57,
    licence="Apache-2.0",
    remark="2.3.5 is of January 2024: no registry of packages has a newer server; Linux on x86-64 only",
)
