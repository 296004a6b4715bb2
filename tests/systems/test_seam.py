"""Nothing outside of a system's folder knows its ids, paths, dimensions or programs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent.parent / "compbench"
# Engram's folder, that of the embedded server, which keeps to Engram's interface, and the embedded server itself.
OWN = {"systems", "embedded"}
# Engram's ids of rows, the one dimension that it takes, paths of its interface, and any program or file named after it.
WORDS = re.compile(r"\bnode-|\b768\b|/api/v1|/health|engram[-_\w]*|^(?:jq|bc)$", re.IGNORECASE)

# The words that stand elsewhere all the same, with the reason.
EXCEPTIONS = {
    "loadtest/driver_parser.py": ({"engram"}, "the client that is asked for without `--system`, a documented default"),
    "measuring/cautions.py": ({"engram"}, "the limits of Engram's loadtest, a driver that any system could have"),
    "model/catalogue.py": ({"engram"}, "the same limits, in words"),
    "report/past/history.py": ({"engram_log_level"}, "a name in results of runs that were closed long ago"),
    "report/pages.py": ({"engram_core", "engram_cli"}, "names in manifests, for lines that readers of pages look for"),
    "store/provenance.py": (
        {"engram_core", "engram_cli", "engram-core", "engram-cli"},
        "the same names in manifests, and the packages whose versions stand there",
    ),
}


def known_words(source: str) -> Iterator[str]:
    """Yield each word of Engram's in a module's values; comments and docstrings may give examples."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    docstrings = {id(node.value) for node in first if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else str(node.value)
            yield from (word.lower() for word in WORDS.findall(text))


def test_nothing_outside_of_its_folder_knows_engram() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE)
        if name.parts[0] not in OWN and (words := set(known_words(path.read_text(encoding="utf-8")))):
            found[str(name)] = words
    assert found == {name: words for name, (words, _) in EXCEPTIONS.items()}


def test_the_test_of_the_seam_would_see_what_is_engrams() -> None:
    docstring, comment = '"""Engram, as in node-7."""', "# engram"
    values = 'x = f"node-{i}", 768, b"/api/v1/recall", "engram-cli 0.1", ["jq"]'
    source = "\n".join((docstring, values, comment))
    assert list(known_words(source)) == ["768", "/api/v1", "engram-cli", "node-", "jq"]
    assert list(known_words('x = "the anode-7 of 7680", 7, "a jq of words"')) == []
