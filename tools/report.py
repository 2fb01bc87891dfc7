"""Write one HTML page about a run or a comparison, to view in a browser or on a phone.

Examples:
    python tools/report.py work_dirs/simsiam_ccrop_coco
    python tools/report.py work_dirs/RUN work_dirs/OTHER --out both.html
    python tools/report.py comparison.csv --runs work_dirs/transfer
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ccrop.cli import command, command_parser


def interval(metric: str, own: Sequence[Path], other: Sequence[Path]) -> tuple[float, float] | None:
    """That of the first kind of detector that knows it of these runs, see :class:`ccrop.experiments.schema.Schema`."""
    from ccrop.tools.compare import known_schemas

    return next(filter(None, (schema.interval(metric, own, other) for schema in known_schemas())), None)


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="WORK_DIR", help="the folder of a run, or the CSV of a comparison"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in, or next to, the first one")
    parser.add_argument(
        "--runs",
        type=Path,
        metavar="FOLDER",
        help="with a comparison: adds learning curves, pictures and intervals over tested images from its work_dirs",
    )
    args = parser.parse_args(argv)
    if args.out is not None and args.out.is_dir():
        parser.error(f"--out {args.out} is a folder: name a file in it")

    from ccrop.report import write_report

    first = args.paths[0]
    out = args.out or (first / "report.html" if first.is_dir() else first.with_suffix(".html"))
    write_report(args.paths, out, args.runs, interval)
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
