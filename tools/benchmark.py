"""Time each path against its alternatives: tools/benchmark.py PATH ... [--json FILE]

    python tools/benchmark.py clusters views
    python tools/benchmark.py all --json rows.json

Ours and theirs take turns at the same work, in one process and on one thread, and are timed by CPU time: medians
in milliseconds, and the quartiles of their ratio, which is above 1 where ccrop is faster. Peers (scikit-image, kornia,
lightly, spconv) are optional: a row says if one is not installed.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from ccrop.cli import command, command_parser

FOLDER = Path(__file__).parent / "benchmarks"
NO_PATHS = ("__init__", "common", "peers")
PATHS = tuple(sorted(file.stem for file in FOLDER.glob("*.py") if file.stem not in NO_PATHS))


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("paths", nargs="+", choices=(*PATHS, "all"), metavar="PATH", help=", ".join((*PATHS, "all")))
    parser.add_argument("--json", metavar="FILE", help="also write the rows as a JSON list")
    parser.add_argument("--seconds", type=float, default=3.0, help="CPU time per comparison (default: %(default)s)")
    args = parser.parse_args(argv)

    import torch

    from ccrop.tools.benchmarks.timing import HEADING, line, measured, write_rows

    torch.set_num_threads(1)
    rows = []
    print(HEADING)
    for path in PATHS if "all" in args.paths else dict.fromkeys(args.paths):
        for comparison in import_module(f"ccrop.tools.benchmarks.{path}").comparisons():
            for row in measured(comparison, args.seconds):
                print(line(row), flush=True)
                rows.append(row)
    if args.json is not None:
        write_rows(rows, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
