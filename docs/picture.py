"""Draws README.md's picture: the terminal as it stands when `make demo` has finished, as SVG.

    tmux new-session -d -s demo -x 118 -y 50 'make demo; read _'      # and wait until it has finished
    tmux capture-pane -ep -t demo | python docs/picture.py docs/terminal.svg

What is drawn is what the terminal showed, nothing else; a command is put above it, as typed.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COMMAND = "$ make demo"
WIDTH = 118


def main() -> None:
    """Read a terminal's content with its colours from standard input, write the SVG that the argument names."""
    shown = [line for line in sys.stdin.read().rstrip().splitlines() if not line.startswith("tmux")]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in [COMMAND, *shown]:
        console.print(Text.from_ansi(line), soft_wrap=True, highlight=False)
    svg = console.export_svg(title="compbench", theme=MONOKAI)
    # A picture must not ask the network for its font.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")
    Path(sys.argv[1]).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
