"""Evaluate without a detector, on sets with classes or in COCO's format with annotations.

knn, linear: do whole images of a class lie together? Weighted kNN and linear classification on frozen features, on the
sets of the run's kNN:

    python tools/evaluate.py knn work_dirs/simsiam_ccrop_cifar10/epoch_500.pth
    python tools/evaluate.py linear work_dirs/simsiam_ccrop_cifar10/epoch_500.pth

pairs: what the two views of a pair have in common, for crops around annotated objects, and around a checkpoint's boxes:

    python tools/evaluate.py pairs --data-root data/coco --split train
    python tools/evaluate.py pairs work_dirs/simsiam_ccrop_coco/epoch_200.pth

boxes: do boxes find the annotated objects? The checkpoint's own localizer, and others on the same backbone:

    python tools/evaluate.py boxes work_dirs/simsiam_ccrop_coco/epoch_200.pth --levels 1 --max-boxes 64

object-knn: does an annotated object, cut out and scaled up, have neighbours of its own class?

    python tools/evaluate.py object-knn work_dirs/simsiam_ccrop_coco/epoch_200.pth

roi-knn: the same for regions of whole images, and for the background:

    python tools/evaluate.py roi-knn work_dirs/simsiam_ccrop_coco/epoch_200.pth

centers: do boxes find the labelled objects of LiDAR sweeps? By geometry, and by shares of the checkpoint's heatmap:

    python tools/evaluate.py centers work_dirs/simsiam_ccrop_bev_demo/epoch_10.pth --split val

window-knn: has a labelled object in a sweep, pooled from the encoder's map, neighbours of its own class?

    python tools/evaluate.py window-knn work_dirs/simsiam_ccrop_bev_demo/epoch_10.pth

A --config without a checkpoint gives the figures of untrained weights.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import DATASETS, TASK_UTILS
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ccrop.datasets import CocoImages, MissingData
from ccrop.datasets.base import spread
from ccrop.datasets.coco import AnnotatedImage, annotated_boxes, find_split
from ccrop.evaluation import BoxQuality, box_quality, knn_predict, linear_probe, pair_statistics
from ccrop.evaluation.linear import LEARNING_RATES
from ccrop.evaluation.pairs import SIZES
from ccrop.evaluation.roi_knn import balanced_accuracy
from ccrop.hooks.inference import image_features, object_features
from ccrop.hooks.localization import Localizer, locate
from ccrop.hooks.roi_knn import annotated_regions, roi_knn
from ccrop.localization import FixedBox, MultiObject, SingleObject
from ccrop.models import Siamese
from ccrop.runner import load_pretrained
from ccrop.views import ContrastiveCrop, MultiObjectCrop, RandomCrop
from ccrop.views.transforms import Crop

CROPS = {
    "one box around all, alpha 0.1": ContrastiveCrop(0.1),
    "one box around all, alpha 0.6": ContrastiveCrop(0.6),
    "one object, its size": MultiObjectCrop(scene_prob=0),
    "one object, its size, 20 % scenes": MultiObjectCrop(),
}
STAGES = (0, 1, 2, 3)  # of a ResNet: strides 4, 8, 16, 32
WORKERS = 2


def pairs(args: argparse.Namespace) -> None:
    """Print a Markdown table, one row a crop."""
    if args.checkpoint or args.config:
        config, model = load(args)
        dataset, images = annotated_set(config.data_root, args.split, args.images)
        localizer, settings = own_localizer(config)
        found, counts = look(model, dataset, localizer or SingleObject(), **settings)
        clusters = [boxes[:count].numpy() for boxes, count in zip(found, counts, strict=True)]
    elif args.data_root:
        every, clusters = annotated_boxes(args.data_root, args.split), None
        images = [every[number] for number in spread(len(every), args.images or len(every))]
    else:
        raise ValueError("name a --data-root, or a checkpoint")
    some = [number for number, image in enumerate(images) if len(image.boxes)]
    images = [images[number] for number in some]
    root = args.data_root or config.data_root
    if not images:
        raise MissingData(f"{root} annotates no object in split {args.split!r}")
    print(f"{len(images)} annotated images of {root}, {args.draws} pairs each, seed {args.seed}\n")

    objects = [np.column_stack([image.boxes, np.ones(len(image.boxes))]).astype(np.float32) for image in images]
    crops = {"random crop": (RandomCrop(), objects)} | {name: (crop, objects) for name, crop in CROPS.items()}
    if clusters is not None:
        for name, crop in CROPS.items():
            name = name.replace("around all", "around all clusters").replace("object", "cluster")
            crops[name] = (crop, [clusters[number] for number in some])
    pixels, counts = stacked([image.boxes * np.tile(image.size[::-1], 2) for image in images])
    repeated = [each.repeat_interleave(args.draws, dim=0) for each in (pixels, counts)]
    rows = []
    for name, (crop, boxes) in crops.items():
        statistics = pair_statistics(drawn_views(images, boxes, crop, args.draws, args.seed), *repeated)
        shares = [f"{share:.2%}" for share in statistics.view_share.values()]
        rows.append([name, f"{statistics.common:.3f}", f"{statistics.iou:.3f}", *shares])
    print_table(["crop", "common object", "IoU of views", "its share of a view: small", "medium", "large"], rows)


def drawn_views(
    images: Sequence[AnnotatedImage], boxes: Sequence[NDArray[np.float32]], crop: Crop, draws: int, seed: int
) -> Tensor:
    """Views ``(N * draws, 2, 4)`` in pixels around boxes ``(K, 5)`` of each image, or around them all."""
    rng = np.random.default_rng(seed)
    views = []
    for image, own in zip(images, boxes, strict=True):
        if isinstance(crop, ContrastiveCrop) and len(own):
            own = np.concatenate([own[:, :2].min(axis=0), own[:, 2:].max(axis=0)])[None]
        views.append([crop(rng, image.size, own, 2) for _ in range(draws)])
    return torch.from_numpy(np.array(views)).flatten(0, 1)


def boxes(args: argparse.Namespace) -> None:
    """Print Markdown tables, one row a localizer, and write them as one long table of CSV."""
    many = multi_object(args)
    config, model = load(args)
    dataset, images = annotated_set(config.data_root, args.split, args.images)
    own, settings = own_localizer(config)
    image_size = tuple(args.image_size or settings["image_size"])
    objects, counts = stacked([image.boxes for image in images])
    ks = sorted({1, 8, many.max_boxes, 1 if own is None else own.max_boxes})

    found = {}
    for name, boxes in located(model, dataset, image_size, own, many):
        found[name] = box_quality(*boxes, objects, counts, torch.tensor([image.size for image in images]), ks)
    total = next(iter(found.values())).objects
    print(
        f"{len(images)} images of {config.data_root} ({args.split}), at their own aspect ratio within "
        f"{image_size[0]} x {image_size[1]} px; objects: {', '.join(f'{n} {size}' for size, n in total.items())}. "
        f"Columns of several figures: the first {' / '.join(map(str, ks))} boxes.\n"
    )
    print_table(
        ["localizer", "boxes an image", "mean area, % of the image", "CorLoc, %"],
        [[name, f"{q.boxes:.1f}", percent(q.area.values()), percent([q.corloc])] for name, q in found.items()],
    )
    for measure in next(iter(found.values())).found:
        print()
        rows = [[name, *(percent(q.found[measure][size].values()) for size in total)] for name, q in found.items()]
        print_table([f"{measure}, % of objects", *total], rows)
    if args.csv:
        with args.csv.open("w", newline="") as file:
            lines = list(long_rows(found, ks))
            writer = csv.DictWriter(file, lines[0])
            writer.writeheader()
            writer.writerows(lines)


def multi_object(args: argparse.Namespace) -> MultiObject:
    levels = dict(levels=args.levels) if args.levels else {}
    try:
        return MultiObject(max_boxes=args.max_boxes, **levels, **(args.multi_object or {}))
    except TypeError as error:
        raise ValueError(f"--multi-object: {error}") from error


def located(
    model: Siamese, dataset: CocoImages, image_size: tuple[int, int], own: Localizer | None, many: MultiObject
) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Names of localizers, and their ``boxes (N, K, 5)`` and ``counts (N,)``."""

    settings = dict(image_size=image_size, keep_ratio=True)
    if own is not None:
        yield f"{type(own).__name__} of the config", look(model, dataset, own, **settings)
    model.backbone.out_indices = STAGES
    yield "SingleObject", look(model, dataset, SingleObject(), **settings)
    clusters = look(model, dataset, many, **settings)
    yield "MultiObject", clusters
    # what chance gives: as many boxes, of the same sizes, where another image has its clusters
    yield "MultiObject of another image", tuple(each.roll(len(each) // 2, dims=0) for each in clusters)
    yield "middle", look(model, dataset, FixedBox(), **settings)
    yield "whole image", look(model, dataset, FixedBox((0, 0, 1, 1)), **settings)


def look(
    model: Siamese, dataset: CocoImages, localizer: Localizer, image_size: tuple[int, int], keep_ratio: bool
) -> tuple[Tensor, Tensor]:
    """:func:`ccrop.hooks.localization.locate` in batches that need the memory of 64 images of 224 x 224 px."""
    batch_size = max(1, 64 * 224**2 // (image_size[0] * image_size[1]))
    return locate(model, dataset, localizer, image_size, batch_size, WORKERS, keep_ratio)


def long_rows(found: dict[str, BoxQuality], ks: Sequence[int]) -> Iterator[dict[str, Any]]:
    """One row a localizer, number of boxes and size of objects."""
    for name, quality in found.items():
        for k in ks:
            for size, number in quality.objects.items():
                measures = {measure: by_size[size][k] for measure, by_size in quality.found.items()}
                whole = dict(boxes_an_image=quality.boxes, corloc=quality.corloc, k=k, mean_area=quality.area[k])
                yield dict(localizer=name, **whole, size=size, objects=number) | measures


def object_knn(args: argparse.Namespace) -> None:
    """Print a Markdown table, one column a size."""
    config, model = load(args)
    image_size = args.image_size or config.default_hooks.get("knn", {}).get("image_size", (112, 112))
    bank, bank_labels, _ = object_features(model, config.data_root, "train", args.bank, tuple(image_size))
    queries, labels, areas = object_features(model, config.data_root, "val", args.queries, tuple(image_size))
    correct = knn_predict(bank, bank_labels, queries, k=20) == labels
    chosen = {"all": areas >= 0} | {size: (areas >= low) & (areas < high) for size, (low, high) in SIZES.items()}
    print(f"{len(bank)} objects of train, {len(queries)} of val of {config.data_root}, k 20, temperature 0.07\n")
    rows = [
        ["objects", *(str(int(each.sum())) for each in chosen.values())],
        ["accuracy, %", *(percent([correct[each].float().mean().item()]) for each in chosen.values())],
        [
            "mean over classes, %",
            *(percent([balanced_accuracy(correct[each], labels[each])]) for each in chosen.values()),
        ],
    ]
    print_table(["object kNN", *chosen], rows)


def region_knn(args: argparse.Namespace) -> None:
    """Print a Markdown table, one row a stride."""
    config, model = load(args)
    model.backbone.out_indices = STAGES
    bank = annotated_regions(model, config.data_root, "train", args.bank)
    queries = annotated_regions(model, config.data_root, "val", args.queries)
    found = roi_knn(bank, queries)
    print(f"mean over classes and background of {config.data_root} in %, k 20, temperature 0.07\n")
    rows = [[f"stride {stride}", *(percent([share]) for share in sizes.values())] for stride, sizes in found.items()]
    print_table(["RoI-kNN", *next(iter(found.values()))], rows)


def image_knn(args: argparse.Namespace) -> None:
    """Print a Markdown table, one row a number of neighbours."""
    bank, bank_labels, queries, labels = class_features(args)
    rows = []
    for k in args.k:
        correct = knn_predict(bank, bank_labels, queries, k) == labels
        rows.append([f"k {k}", percent([correct.float().mean().item()]), percent([balanced_accuracy(correct, labels)])])
    print_table(["kNN, temperature 0.07", "accuracy, %", "mean over classes, %"], rows)


def linear(args: argparse.Namespace) -> None:
    """Print a Markdown table, one row a learning rate."""
    found = linear_probe(*class_features(args), learning_rates=args.lr, epochs=args.epochs)
    best = max(found.values())
    rows = [[f"{lr:g}", percent([share]) + (", best" if share == best else "")] for lr, share in found.items()]
    print_table(["linear, learning rate", "accuracy, %"], rows)


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


def class_features(args: argparse.Namespace) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features and classes of the sets of the run's kNN: training images, then test images, all of them by default."""
    config, model = load(args)
    hook = config.default_hooks.get("knn")
    if not hook:
        raise ValueError("the config has no kNN hook, which would name the sets with classes")
    sides = []
    for side in (hook.bank, hook.queries):
        dataset = DATASETS.build(side | dict(subset=args.images))
        sides += image_features(model, dataset, tuple(hook.image_size), num_workers=WORKERS)
    print(f"{len(sides[1])} images of train, {len(sides[3])} of test of {config.data_root}\n")
    return tuple(sides)


def load(args: argparse.Namespace) -> tuple[Config, Siamese]:
    """Config and model, on the GPU where there is one."""
    config, model = load_pretrained(args.checkpoint, args.config, args.data_root)
    return config, model.to("cuda" if torch.cuda.is_available() else "cpu")


def own_localizer(config: Config) -> tuple[Localizer | None, dict[str, Any]]:
    """The localizer of the run, if it has one, and the image size and aspect ratio at which it looks."""
    hook = config.default_hooks.get("localization") or {}
    settings = dict(image_size=tuple(hook.get("image_size", (224, 224))), keep_ratio=hook.get("keep_ratio", False))
    return TASK_UTILS.build(hook["localizer"]) if "localizer" in hook else None, settings


def annotated_set(root: str, split: str, number: int | None) -> tuple[CocoImages, list[AnnotatedImage]]:
    """Images of a split that are on disk and in the annotations, evenly spaced, and what is annotated, alike in order.

    Raises:
        MissingData: there are no images or no annotations, or they have no name in common.
    """
    folder = find_split(Path(root), split)
    known = {str(folder / image.file_name): image for image in annotated_boxes(root, split)}
    dataset = CocoImages(root, split)
    paths = [dataset.get_data_info(index)["path"] for index in range(len(dataset))]
    both = [index for index, path in enumerate(paths) if path in known]
    if not both:
        raise MissingData(f"the annotations of split {split!r} name none of the images in {Path(root, folder)}")
    both = [both[index] for index in spread(len(both), number or len(both))]
    return dataset.get_subset(both), [known[paths[index]] for index in both]


def stacked(boxes: Sequence[NDArray[np.float64]]) -> tuple[Tensor, Tensor]:
    """``(N, M, 4)``, zeros beyond the count, and counts ``(N,)``, of boxes ``(m, 4)`` each."""
    return pad_sequence([torch.from_numpy(each) for each in boxes], True), torch.tensor([len(each) for each in boxes])


def percent(shares: Iterable[float]) -> str:
    return " / ".join("–" if share != share else f"{100 * share:.1f}" for share in shares)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for line in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(line)} |".replace(" --- ", "---"))


def add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument("checkpoint", nargs="?", type=Path, metavar="CHECKPOINT", help="of a pretraining run")
    command.add_argument("--config", type=Path, help="default: the one that the run left beside the checkpoint")
    command.add_argument("--data-root", help="the data set's folder; default: that of the run")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("pairs", help="what the two views of a pair have in common")
    add_model(command)
    command.add_argument("--split", default="train", help="default: %(default)s")
    command.add_argument("--images", type=int, help="so many, evenly spaced; default: all")
    command.add_argument("--draws", type=int, default=20, help="pairs an image (default: %(default)s)")
    command.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    command.set_defaults(run=pairs)

    command = commands.add_parser("boxes", help="do boxes find the annotated objects?")
    add_model(command)
    command.add_argument("--split", default="val", help="default: %(default)s")
    command.add_argument("--images", type=int, help="so many, evenly spaced; default: all")
    command.add_argument("--image-size", type=int, nargs=2, metavar=("H", "W"), help="default: the config's")
    command.add_argument("--max-boxes", type=int, default=8, help="of MultiObject (default: %(default)s)")
    command.add_argument(
        "--levels",
        type=int,
        nargs="+",
        choices=STAGES,
        help="of MultiObject: stages of strides 4, 8, 16, 32; default: 3",
    )
    command.add_argument("--multi-object", nargs="+", action=DictAction, metavar="K=V", help="its other arguments")
    command.add_argument("--csv", type=Path, metavar="FILE", help="write all figures to FILE")
    command.set_defaults(run=boxes)

    for name, function, text in (
        ("knn", image_knn, "weighted kNN accuracy on whole images"),
        ("linear", linear, "accuracy of linear classification on frozen features of whole images"),
    ):
        command = commands.add_parser(name, help=text)
        add_model(command)
        command.add_argument("--images", type=int, help="of each side, evenly spaced; default: all")
        if name == "knn":
            command.add_argument("--k", type=int, nargs="+", default=[20, 200], help="neighbours; default: 20 200")
        else:
            command.add_argument("--lr", type=float, nargs="+", default=LEARNING_RATES, help="learning rates to try")
            command.add_argument("--epochs", type=int, default=100, help="default: %(default)s")
        command.set_defaults(run=function)

    command = commands.add_parser("object-knn", help="kNN accuracy on annotated objects, cut out and scaled up")
    add_model(command)
    command.add_argument("--image-size", type=int, nargs=2, metavar=("H", "W"), help="default: the config's")
    command.add_argument("--bank", type=int, default=20000, help="objects of train (default: %(default)s)")
    command.add_argument("--queries", type=int, default=5000, help="objects of val (default: %(default)s)")
    command.set_defaults(run=object_knn)

    command = commands.add_parser("roi-knn", help="kNN accuracy on regions of whole images, and on the background")
    add_model(command)
    command.add_argument("--bank", type=int, default=256, help="images of train (default: %(default)s)")
    command.add_argument("--queries", type=int, default=256, help="images of val (default: %(default)s)")
    command.set_defaults(run=region_knn)

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
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    try:
        with torch.no_grad():
            args.run(args)
    except (OSError, ValueError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
