"""Plot what runs logged over time: tools/plot.py WORK_DIR ... --out curves.png

    python tools/plot.py work_dirs/simsiam_rcrop_cifar10 work_dirs/no_stop_gradient --scalars loss z_std rank knn

One panel per scalar of the epoch lines, one curve per run; the values go to a CSV next to the picture. All parts
of a resumed run are joined.
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from ccrop.cli import add_picture, command, command_parser
from ccrop.files import written

# of one run: scalar -> epoch -> value
Curves = dict[str, dict[int, float]]
SCALARS = ("loss", "z_std", "rank", "knn")  # by default, those that were logged


def draw(runs: dict[str, Curves], scalars: Sequence[str], file: Path) -> None:
    """One panel per scalar, one curve per run that has it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(scalars), figsize=(4 * len(scalars), 3.4), layout="constrained", squeeze=False)
    for axis, scalar in zip(axes[0], scalars, strict=True):
        for number, (name, found) in enumerate(runs.items()):
            points = sorted(found.get(scalar, {}).items())
            if points:
                style = dict(marker="o", ms=3, lw=1.2, color=f"C{number}", label=name.replace("_", " "))
                axis.plot(*zip(*points, strict=True), **style)
        axis.set(title=scalar, xlabel="epoch")
        axis.grid(alpha=0.3)
    handles = {label: line for axis in axes[0] for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), fontsize=9)
    with written(file) as partial:
        figure.savefig(partial, dpi=110)
    plt.close(figure)


def write(runs: dict[str, Curves], scalars: Sequence[str], file: Path) -> None:
    """One row per run, epoch and scalar."""
    with written(file) as partial, partial.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["run", "epoch", "scalar", "value"])
        for name, found in runs.items():
            for scalar in scalars:
                writer.writerows(
                    [name, epoch, scalar, f"{value:.5g}"] for epoch, value in sorted(found.get(scalar, {}).items())
                )


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("work_dirs", nargs="+", type=Path, metavar="WORK_DIR", help="folder of a run")
    parser.add_argument("--scalars", nargs="+", help=f"default: those of {', '.join(SCALARS)} that were logged")
    add_picture(parser, "curves.png")
    args = parser.parse_args(argv)

    from ccrop.report.scalars import tensorboard_scalars

    runs = {work_dir.resolve().name: tensorboard_scalars(work_dir, "epoch/") for work_dir in args.work_dirs}
    known = set().union(*runs.values())
    scalars = args.scalars or [name for name in SCALARS if name in known]
    if unknown := set(scalars) - known:
        raise ValueError(f"no run logged {', '.join(sorted(unknown))}; available are {', '.join(sorted(known))}")
    if not scalars:
        raise ValueError(f"no epoch was logged in {', '.join(map(str, args.work_dirs))}")
    draw(runs, scalars, args.out)
    write(runs, scalars, args.out.with_suffix(".csv"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
