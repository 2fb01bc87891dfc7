"""knn and linear: do images of a class, or annotated objects, cluster?"""

import argparse
import csv
from pathlib import Path

import matplotlib
import numpy as np
from mmengine.registry import DATASETS
from torch import Tensor

from ccrop.evaluation import choose_learning_rate, knn_predict, linear_probe
from ccrop.evaluation.confusion import class_metrics, confusion_matrix
from ccrop.evaluation.linear import LEARNING_RATES
from ccrop.evaluation.roi_knn import balanced_accuracy
from ccrop.files import written
from ccrop.inference.features import class_features
from ccrop.tools.evaluations.common import load, percent, print_table

matplotlib.use("Agg")
from matplotlib import pyplot as plt

NAMED = 30  # with more classes, the picture omits their names


def image_knn(args: argparse.Namespace) -> None:
    """Print a Markdown table, one row per number of neighbors."""
    (bank, bank_labels), (queries, labels), classes, units = features_of(args)
    found = {f"k {k}": knn_predict(bank, bank_labels, queries, k) for k in args.k}
    report("kNN, temperature 0.07", found, labels, classes, units, args.out)


def linear(args: argparse.Namespace) -> None:
    """Print a Markdown table, one row per learning rate; the one to report is chosen on held-out training images."""
    (train, train_labels), (test, labels), classes, units = features_of(args)
    rates = args.lr or LEARNING_RATES
    found = linear_probe(train, train_labels, test, rates, args.epochs)
    chosen = choose_learning_rate(train, train_labels, rates, args.epochs) if len(rates) > 1 else rates[0]
    variants = {f"learning rate {lr:g}": predicted for lr, predicted in found.items()}
    report("linear", variants, labels, classes, units, args.out, f"learning rate {chosen:g}")


def features_of(
    args: argparse.Namespace,
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], tuple[str, ...], str]:
    """:func:`class_features` as requested on the command line, and what has a class: images, or objects."""
    config, model = load(args)
    found = class_features(config, model, args.images, args.image_size)
    kind = config.default_hooks.knn.bank.type
    units = f"{(DATASETS.get(kind) if isinstance(kind, str) else kind).unit}s"
    print(f"{len(found[0][1])} training and {len(found[1][1])} test {units} of {config.data_root}\n")
    return *found, units


def report(
    title: str,
    found: dict[str, Tensor],
    labels: Tensor,
    classes: tuple[str, ...],
    units: str,
    folder: Path | None,
    chosen: str | None = None,
) -> None:
    """Print the accuracy of each variant, and write per-class metrics of the chosen one, or else of the best."""
    correct = {name: predicted == labels for name, predicted in found.items()}
    written = chosen or max(found, key=lambda name: int(correct[name].sum()))
    mark = ", chosen on training images" if chosen else ", best"
    rows = []
    for name, right in correct.items():
        shares = (right.float().mean().item(), balanced_accuracy(right, labels))
        rows.append([name + (mark if name == written and len(found) > 1 else ""), *(percent([s]) for s in shares)])
    print_table([title, "accuracy, %", "mean over classes, %"], rows)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        name = title.split(",")[0].lower()
        confusion = confusion_matrix(labels, found[written], len(classes)).cpu()
        write(confusion, classes, units, f"{title}, {written}", folder / name)


def write(confusion: Tensor, classes: tuple[str, ...], units: str, title: str, path: Path) -> None:
    """Per-class metrics in ``PATH.csv``, the confusion matrix in ``PATH_confusion.csv`` and ``PATH_confusion.png``."""
    metrics = class_metrics(confusion)
    with written(path.with_suffix(".csv")) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["class", units, *metrics._fields])
        for number, name in enumerate(classes):
            shares = ("" if each[number].isnan() else f"{each[number]:.4f}" for each in metrics)
            writer.writerow([name, int(confusion[number].sum()), *shares])
    with written(path.with_name(f"{path.name}_confusion.csv")) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["class \\ predicted", *classes])
        writer.writerows([name, *row] for name, row in zip(classes, confusion.tolist(), strict=True))
    draw(confusion, classes, title, path.with_name(f"{path.name}_confusion.png"))


def draw(confusion: Tensor, classes: tuple[str, ...], title: str, file: Path) -> None:
    """The percentage of each class (row) that is predicted as each class (column)."""
    shares = (100 * confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)).numpy()
    named = len(classes) <= NAMED
    side = 2.5 + 0.45 * len(classes) if named else 9
    figure, axis = plt.subplots(figsize=(side + 1, side), layout="constrained")
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    if named:
        axis.set_xticks(range(len(classes)), classes, rotation=90)
        axis.set_yticks(range(len(classes)), classes)
        for row, column in np.ndindex(shares.shape):
            color = "white" if shares[row, column] > 50 else "black"
            axis.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", color=color, size=8)
    accuracy = confusion.diagonal().sum() / confusion.sum()
    axis.set(xlabel="predicted", ylabel="class", title=f"{title}: {accuracy:.1%}")
    figure.colorbar(picture, shrink=0.8, label="% of the class")
    with written(file) as partial:
        figure.savefig(partial, dpi=110)
    plt.close(figure)
