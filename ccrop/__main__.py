"""``ccrop COMMAND``, the same as ``python tools/COMMAND.py`` in a checkout. Imports nothing slow."""

import ast
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from ccrop import __version__
from ccrop.broken_pipe import ended_with_its_reader

TOOLS = Path(__file__).parent / "tools"


def commands() -> dict[str, Path]:
    """The commands by name, and the file of each."""
    return {file.stem.replace("_", "-"): file for file in sorted(TOOLS.glob("*.py"))}


def usage() -> str:
    """The commands, with what the first lines of their docstrings say."""
    lines = ["usage: ccrop COMMAND ...", ""]
    for name, file in commands().items():
        text = ast.get_docstring(ast.parse(file.read_text()))
        assert text, f"{file} needs a docstring"
        lines.append(f"  {name:<16}{text.splitlines()[0].split(':')[0].rstrip('.')}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    known = commands()
    if name in ("-h", "--help"):
        with ended_with_its_reader():
            print(usage())
        return 0
    if name == "--version":
        print(f"ccrop {__version__}")
        return 0
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        advice = f"did you mean {close[0]}?" if close else "ccrop --help lists all commands"
        print(f"ccrop: unknown command {name}; {advice}", file=sys.stderr)
        return 2
    sys.argv = [f"ccrop {name}", *arguments]  # argparse's program name
    return import_module(f"ccrop.tools.{known[name].stem}").main()


if __name__ == "__main__":
    sys.exit(main())
