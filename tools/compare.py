"""Compare pretrainings at equal compute, without a detector: configs x seeds, one CSV row a run.

    python tools/compare.py configs/comparison/*.py --data-root data/coco --csv comparison.csv
    python tools/compare.py --csv comparison.csv

Every run gets the whole epochs that come nearest to the budget of training FLOPs, localisation not counted, and is
then measured on the val split: RoI-kNN, object-kNN, and how its boxes find the objects of the train split. A run
whose row is there is not repeated, so an interrupted comparison goes on where it stopped. ``untrained`` in place of
a config gives the weights that the runs start from. Every call ends with a Markdown table and a plot beside the CSV.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import matplotlib
import numpy as np
import torch
from mmengine.config import DictAction
from torch.nn.utils.rnn import pad_sequence

from ccrop.compute import fit_to_budget
from ccrop.datasets import ImageDataset, MissingData
from ccrop.datasets.coco import annotated_boxes
from ccrop.evaluation import box_quality, knn_predict
from ccrop.evaluation.pairs import SIZES
from ccrop.evaluation.roi_knn import balanced_accuracy
from ccrop.hooks.inference import object_features
from ccrop.hooks.roi_knn import annotated_regions, roi_knn
from ccrop.models import Siamese
from ccrop.rows import append_row, mean_and_spread, read_rows
from ccrop.runner import build_runner, load_config, load_pretrained

matplotlib.use("Agg")
from matplotlib import pyplot as plt

UNTRAINED = "untrained"
STRIDES = (8, 16, 32)
KEY = ("data", "arm", "seed")
COLUMNS = (
    *KEY,
    *("epochs", "tflop", "seconds", "loss", "z_std", "rank", "boxes", "hit_small", "hit_all"),
    *(f"roi_s{stride}_{size}" for stride in STRIDES for size in ("all", *SIZES)),
    *(f"object_{size}" for size in ("all", *SIZES)),
)
SHOWN = {
    "roi_s8_small": "RoI-kNN at stride 8, small",
    "roi_s8_all": "at stride 8, all",
    "roi_s16_small": "at stride 16, small",
    "roi_s16_all": "at stride 16, all",
    "object_small": "object-kNN, small",
    "object_all": "object-kNN, all",
    "hit_small": "small objects hit",
}


def run(path: str, args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train and measure one arm; a row of the table."""
    torch.manual_seed(seed)
    if path == UNTRAINED:
        _, model = load_pretrained(None, args.configs_of[0], args.data_root, args.cfg_options, seed)
        return measured(model, args)
    config = load_config(path, args.data_root, args.cfg_options)
    tflop = fit_to_budget(config, args.tflop)
    work_dir = args.work_dirs / Path(args.data_root).name / f"{name_of(path, args)}_{seed}"
    shutil.rmtree(work_dir, ignore_errors=True)
    runner = build_runner(config, work_dir, seed=seed)
    start = perf_counter()
    model = runner.train()
    row = dict(epochs=runner.max_epochs, tflop=round(tflop, 4), seconds=round(perf_counter() - start))
    scalars = runner.message_hub.log_scalars
    row |= {name: round(float(scalars[f"epoch/{name}"].current()), 4) for name in ("loss", "z_std", "rank")}
    return row | found_objects(runner.train_dataloader.dataset) | measured(model.eval(), args)


@torch.no_grad()
def measured(model: Siamese, args: argparse.Namespace) -> dict[str, float]:
    """RoI-kNN by stride and size, and balanced accuracy of object-kNN by size."""
    sides = [annotated_regions(model, args.data_root, *side) for side in (("train", args.bank), ("val", args.queries))]
    recall = roi_knn(*sides, min_queries=args.min_queries)
    row = {f"roi_s{stride}_{size}": share for stride in recall for size, share in recall[stride].items()}
    bank, bank_labels, _ = object_features(model, args.data_root, "train", args.objects, (64, 64), 0)
    queries, labels, areas = object_features(model, args.data_root, "val", args.objects, (64, 64), 0)
    correct = knn_predict(bank, bank_labels, queries, k=20) == labels
    for size, (low, high) in ({"all": (0, float("inf"))} | SIZES).items():
        chosen = (areas >= low) & (areas < high)
        row[f"object_{size}"] = balanced_accuracy(correct[chosen], labels[chosen])
    return {name: round(share, 4) for name, share in row.items() if name in COLUMNS and share == share}


def found_objects(dataset: ImageDataset) -> dict[str, float]:
    """Boxes an image at the end of the run, and the share of annotated objects whose center one of them hits."""
    if dataset.boxes is None or not dataset.boxes.counts.any():
        return {}
    known = {image.file_name: image for image in annotated_boxes(dataset.data_root, dataset.split)}
    images = [known[dataset.path(dataset.get_data_info(index)).name] for index in range(len(dataset))]
    objects = pad_sequence([torch.from_numpy(image.boxes) for image in images], True)
    sizes = torch.tensor([image.size for image in images])
    counts = torch.tensor([len(image.boxes) for image in images])
    store = dataset.boxes
    quality = box_quality(store.boxes, store.counts, objects, counts, sizes, [store.max_boxes])
    hit = quality.found["center hit"]
    return dict(boxes=round(quality.boxes, 2)) | {
        f"hit_{size}": round(hit[size][store.max_boxes], 4) for size in ("small", "all")
    }


def name_of(path: str, args: argparse.Namespace) -> str:
    return Path(path).stem + args.tag


def summary(rows: Sequence[dict[str, str]], data: str) -> dict[str, dict[str, list[float]]]:
    """Figures of all seeds by arm, in the order of the rows, and column."""
    arms: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["data"] == data:
            columns = arms.setdefault(row["arm"], {name: [] for name in SHOWN})
            for name in SHOWN:
                if row[name]:
                    columns[name].append(100 * float(row[name]))
    return arms


def markdown(arms: dict[str, dict[str, list[float]]], data: str) -> str:
    """One row an arm: mean ± spread (the standard deviation over seeds)."""
    seeds = {len(columns["roi_s8_small"]) for columns in arms.values()}
    header = [f"{data}, {'/'.join(map(str, sorted(seeds)))} seeds, %", *SHOWN.values()]
    lines = [header, ["---"] * len(header)]
    lines += [[arm.replace("_", " "), *map(mean_and_spread, columns.values())] for arm, columns in arms.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(arms: dict[str, dict[str, list[float]]], data: str, file: Path) -> None:
    """Small objects at stride 8 and 16: a dot a seed, a bar for the mean."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.4 * len(arms) + 1.2), sharey=True, layout="constrained")
    for axis, name in zip(axes, ("roi_s8_small", "roi_s16_small"), strict=True):
        for place, columns in enumerate(arms.values()):
            if columns[name]:
                axis.plot([np.mean(columns[name])] * 2, [place - 0.3, place + 0.3], color="tab:red", lw=2)
                axis.plot(columns[name], [place] * len(columns[name]), "o", color="tab:blue", ms=5, alpha=0.7)
        axis.set_title(f"{data}: RoI-kNN of small objects, {name.split('_')[1].replace('s', 'stride ')}, %", size=10)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(arms)), [arm.replace("_", " ") for arm in arms])
    axes[0].invert_yaxis()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def report(file: Path) -> None:
    """Print and write the tables, and draw a plot for each data set."""
    rows = read_rows(file, COLUMNS)
    tables = []
    for data in dict.fromkeys(row["data"] for row in rows):
        arms = summary(rows, data)
        tables.append(markdown(arms, data))
        plot(arms, data, file.with_name(f"{file.stem}_{data}.png"))
    text = "\n\n".join(tables) + "\n"
    file.with_suffix(".md").write_text(text)
    print(text)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help=f"configs, or {UNTRAINED}; none: only report")
    parser.add_argument("--data-root", help="a COCO-format set, train and val annotated")
    parser.add_argument("--csv", type=Path, default=Path("comparison.csv"), help="default: %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--tflop", type=float, default=5, help="10^12 operations a run (default: %(default)s)")
    parser.add_argument("--bank", type=int, default=300, help="train images of RoI-kNN (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=500, help="val images of RoI-kNN (default: %(default)s)")
    parser.add_argument(
        "--min-queries", type=int, default=50, help="RoI-kNN leaves rarer categories out (default: %(default)s)"
    )
    parser.add_argument("--objects", type=int, default=1000, help="objects of object-kNN a side (default: %(default)s)")
    parser.add_argument("--tag", default="", help="appended to the arms' names, for variants by --cfg-options")
    parser.add_argument("--work-dirs", type=Path, default=Path("work_dirs/comparison"), help="default: %(default)s")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="K=V", help="override the configs")
    args = parser.parse_args(argv)
    args.configs_of = [path for path in args.configs if path != UNTRAINED]
    if args.configs and not (args.data_root and args.configs_of):
        parser.error("runs need --data-root and at least one config")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    try:
        done = {tuple(row[name] for name in KEY) for row in read_rows(args.csv, COLUMNS)}
        for seed in args.seeds:
            for path in args.configs:
                key = (Path(args.data_root).name, name_of(path, args), str(seed))
                if key not in done:
                    append_row(args.csv, dict(zip(KEY, key, strict=True)) | run(path, args, seed), COLUMNS)
        report(args.csv)
    except (OSError, ValueError, MissingData) as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
