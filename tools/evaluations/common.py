"""What the evaluations share: the model, the images and their annotations, tables."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, TASK_UTILS
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ccrop.datasets import CocoImages, MissingData
from ccrop.datasets.base import spread
from ccrop.datasets.coco import AnnotatedImage, annotated_boxes, find_split
from ccrop.datasets.reading import WHITE
from ccrop.inference.locate import locate
from ccrop.localization import Localizer
from ccrop.models import Siamese
from ccrop.pretrained import load_pretrained

WORKERS = 2
COMMANDS = dict(image="knn, linear, pairs, boxes, object-knn or roi-knn", sweep="centers or window-knn")


def load(args: argparse.Namespace, unit: str = "image") -> tuple[Config, Siamese]:
    """Config and model, on the GPU if there is one.

    Args:
        unit: what the command evaluates, a key of :data:`COMMANDS`.

    Raises:
        ValueError: another library's network without a config that defines what to evaluate it on, or a run on
            something else than the command evaluates.
    """
    if args.network is None:
        config, model = load_pretrained(args.checkpoint, args.config, args.data_root, init=args.init)
    elif args.config is None:
        raise ValueError("--network needs a --config, which defines the images it is evaluated on")
    elif args.checkpoint is not None:
        raise ValueError(f"with --network, pass its weights with --init {args.checkpoint}")
    else:
        config, model = load_pretrained(None, args.config, args.data_root, backbone=args.network, init=args.init)
        print("\n".join(config.notes), end="\n\n")
    kind = config.train_dataloader.dataset.type
    own = getattr(DATASETS.get(kind) if isinstance(kind, str) else kind, "unit", unit)
    if own != unit:
        raise ValueError(f"{args.checkpoint or args.config} is of a run on {own}s: evaluate it by {COMMANDS[own]}")
    return config, model.to("cuda" if torch.cuda.is_available() else "cpu")


def give_all_levels(model: Siamese) -> None:
    """Make the backbone return every map that it has."""
    model.backbone.out_indices = tuple(range(len(model.backbone.levels)))


def own_localizer(config: Config) -> tuple[Localizer | None, dict[str, Any]]:
    """The localizer of the run, if it has one, and the image size and aspect ratio that it uses."""
    hook = config.default_hooks.get("localization") or {}
    settings = dict(image_size=tuple(hook.get("image_size", (224, 224))), keep_ratio=hook.get("keep_ratio", False))
    return TASK_UTILS.build(hook["localizer"]) if "localizer" in hook else None, settings


def annotated_set(
    root: str, split: str, number: int | None, channels: int = 3, white: int = WHITE
) -> tuple[CocoImages, list[AnnotatedImage]]:
    """Images of a split that are both on disk and annotated, evenly spaced, and their annotations in the same order.

    Raises:
        MissingData: there are no images or no annotations, or they have no name in common.
    """
    folder = find_split(Path(root), split)
    known = {str(folder / image.file_name): image for image in annotated_boxes(root, split)}
    dataset = CocoImages(root, split, channels=channels, white=white)
    paths = [dataset.get_data_info(index)["path"] for index in range(len(dataset))]
    both = [index for index, path in enumerate(paths) if path in known]
    if not both:
        raise MissingData(f"the annotations of split {split!r} list none of the images in {Path(root, folder)}")
    both = [both[index] for index in spread(len(both), number or len(both))]
    return dataset.get_subset(both), [known[paths[index]] for index in both]


def look(
    model: Siamese, dataset: CocoImages, localizer: Localizer, image_size: tuple[int, int], keep_ratio: bool
) -> tuple[Tensor, Tensor]:
    """:func:`ccrop.inference.locate.locate` in batches that take the memory of 64 images of 224 x 224 px."""
    batch_size = max(1, 64 * 224**2 // (image_size[0] * image_size[1]))
    return locate(model, dataset, localizer, image_size, batch_size, WORKERS, keep_ratio)


def stacked(boxes: Sequence[NDArray[np.float64]]) -> tuple[Tensor, Tensor]:
    """``(N, M, 4)``, padded with zeros, and counts ``(N,)``, of boxes ``(m, 4)`` each."""
    return pad_sequence([torch.tensor(each) for each in boxes], True), torch.tensor([len(each) for each in boxes])


def percent(shares: Iterable[float]) -> str:
    return " / ".join("–" if share != share else f"{100 * share:.1f}" for share in shares)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for line in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(line)} |".replace(" --- ", "---"))
