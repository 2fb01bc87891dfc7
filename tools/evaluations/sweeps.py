"""centers and window-knn: do boxes find the labeled objects of LiDAR sweeps, and do the objects of a class cluster?"""

import argparse

from mmengine.registry import TASK_UTILS

from ccrop.tools.evaluations.common import WORKERS, load, percent, print_table


def centers(args: argparse.Namespace) -> None:
    """Print Markdown tables with one row per heatmap."""
    from ccrop.projects.lidar_bev.center_recall import evaluate, tables
    from ccrop.projects.lidar_bev.evaluation.proposal_recall import MIN_POINTS

    config, model = load(args, "sweep")
    shares = args.learned or ([0.0, 0.25, 0.5, 1.0] if args.checkpoint else [0.0])
    dataset, found = evaluate(config, model, shares, args.split, args.classes, args.sweeps, WORKERS, args.localizer)
    first = next(iter(found.values()))
    print(f"{len(dataset)} sweeps of {dataset.data_root}: {len(first.labels)} objects of {MIN_POINTS} points or more")
    for header, *rows in tables(dataset, found):
        print()
        print_table(header, rows)


def sweep_knn(args: argparse.Namespace) -> None:
    """Print a Markdown table with one column per class."""
    from ccrop.projects.lidar_bev.center_recall import labeled_sweeps
    from ccrop.projects.lidar_bev.window_knn import labeled_windows, window_knn

    config, model = load(args, "sweep")
    localizer = TASK_UTILS.build(config.default_hooks.localization.localizer)
    splits = ("train", args.bank), ("val", args.queries)
    sets = [labeled_sweeps(config, split, args.classes, number) for split, number in splits]
    bank, queries = (labeled_windows(model, each, localizer) for each in sets)
    found = window_knn(bank, queries, sets[1].classes)
    print(f"{len(bank[1])} training and {len(queries[1])} validation windows of {sets[0].data_root}, k 20\n")
    print_table(["window-kNN", *found], [["accuracy, %", *(percent([share]) for share in found.values())]])
