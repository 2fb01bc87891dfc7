"""centers and window-knn: do boxes find the labelled objects of LiDAR sweeps, and do those of a class lie together?"""

import argparse

from mmengine.config import DictAction
from mmengine.registry import TASK_UTILS

from evaluations.common import WORKERS, add_model, load, percent, print_table


def add(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("centers", help="do boxes find the labelled objects of LiDAR sweeps?")
    add_model(command)
    command.add_argument("--split", help="default: the config's")
    command.add_argument("--classes", nargs="+", help="by which recall is split; default: the data set's")
    command.add_argument("--sweeps", type=int, help="so many, evenly spaced; default: all")
    command.add_argument("--learnt", type=float, nargs="+", metavar="SHARE", help="of the learnt heatmap, 0 to 1")
    command.add_argument("--localizer", nargs="+", action=DictAction, metavar="K=V", help="its other arguments")
    command.set_defaults(run=centers)

    command = commands.add_parser("window-knn", help="kNN accuracy on labelled objects of LiDAR sweeps")
    add_model(command)
    command.add_argument("--classes", nargs="+", help="default: the data set's")
    command.add_argument("--bank", type=int, default=64, help="sweeps of train (default: %(default)s)")
    command.add_argument("--queries", type=int, default=40, help="sweeps of val (default: %(default)s)")
    command.set_defaults(run=sweep_knn)


def centers(args: argparse.Namespace) -> None:
    """Print Markdown tables, one row a heatmap."""
    from projects.lidar_bev.evaluation.proposals import MIN_POINTS
    from projects.lidar_bev.proposals import evaluate, tables

    config, model = load(args)
    shares = args.learnt or ([0.0, 0.25, 0.5, 1.0] if args.checkpoint else [0.0])
    dataset, found = evaluate(config, model, shares, args.split, args.classes, args.sweeps, WORKERS, args.localizer)
    first = next(iter(found.values()))
    print(f"{len(dataset)} sweeps of {dataset.data_root}: {len(first.labels)} objects of {MIN_POINTS} points or more")
    for header, *rows in tables(dataset, found):
        print()
        print_table(header, rows)


def sweep_knn(args: argparse.Namespace) -> None:
    """Print a Markdown table, one column a class."""
    from projects.lidar_bev.proposals import labelled_sweeps
    from projects.lidar_bev.window_knn import labelled_windows, window_knn

    config, model = load(args)
    localizer = TASK_UTILS.build(config.default_hooks.localization.localizer)
    splits = ("train", args.bank), ("val", args.queries)
    sets = [labelled_sweeps(config, split, args.classes, number) for split, number in splits]
    sides = [labelled_windows(model, each, localizer) for each in sets]
    found = window_knn(*sides, sets[1].classes)
    print(f"{len(sides[0][1])} windows of train, {len(sides[1][1])} of val of {sets[0].data_root}, k 20\n")
    print_table(["window-kNN", *found], [["accuracy, %", *(percent([share]) for share in found.values())]])
