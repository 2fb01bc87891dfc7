"""One HTML page of a run or a comparison, to look at in a browser or on a phone.

Examples:
    python tools/report.py work_dirs/simsiam_ccrop_coco
    python tools/report.py work_dirs/RUN work_dirs/OTHER --out both.html
    python tools/report.py comparison.csv --runs work_dirs/transfer
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="WORK_DIR", help="the folder of a run, or the CSV of a comparison"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in, or beside, the first one")
    parser.add_argument(
        "--runs", type=Path, metavar="FOLDER", help="of a comparison's work_dirs: adds learning curves and pictures"
    )
    args = parser.parse_args(argv)

    from ccrop.compat.checkpoint import UntrustedCheckpoint
    from ccrop.report import write_report

    first = args.paths[0]
    out = args.out or (first / "report.html" if first.is_dir() else first.with_suffix(".html"))
    try:
        write_report(args.paths, out, args.runs)
    except (OSError, ValueError, UntrustedCheckpoint) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
