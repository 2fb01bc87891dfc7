"""boxes: do boxes find the annotated objects?"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ccrop.datasets import CocoImages
from ccrop.datasets.reading import WHITE
from ccrop.evaluation import BoxQuality, box_quality
from ccrop.files import write_csv
from ccrop.localization import FixedBox, Localizer, MultiObject, SingleObject
from ccrop.models import Siamese
from ccrop.tools.evaluations.common import (
    annotated_set,
    give_all_levels,
    load,
    look,
    own_localizer,
    percent,
    print_table,
    stacked,
)


def boxes(args: argparse.Namespace) -> None:
    """Print Markdown tables with one row per localizer, and write them as one long CSV table."""
    many = multi_object(args)
    config, model = load(args)
    pixels = model.data_preprocessor.channels, config.get("white", WHITE)
    dataset, images = annotated_set(config.data_root, args.split, args.images, *pixels)
    own, settings = own_localizer(config)
    image_size = tuple(args.image_size or settings["image_size"])
    objects, counts = stacked([image.boxes for image in images])
    ks = sorted({1, 8, many.max_boxes, 1 if own is None else own.max_boxes})

    found = {}
    for name, boxes in located(model, dataset, image_size, own, many):
        found[name] = box_quality(*boxes, objects, counts, torch.tensor([image.size for image in images]), ks)
    total = next(iter(found.values())).objects
    print(
        f"{len(images)} images of {config.data_root} ({args.split}), keeping their aspect ratio within "
        f"{image_size[0]} x {image_size[1]} px; objects: {', '.join(f'{n} {size}' for size, n in total.items())}. "
        f"Columns with several values: the first {' / '.join(map(str, ks))} boxes.\n"
    )
    print_table(
        ["localizer", "boxes per image", "mean area, % of the image", "CorLoc, %"],
        [[name, f"{q.boxes:.1f}", percent(q.area.values()), percent([q.corloc])] for name, q in found.items()],
    )
    for measure in next(iter(found.values())).found:
        print()
        rows = [[name, *(percent(q.found[measure][size].values()) for size in total)] for name, q in found.items()]
        print_table([f"{measure}, % of objects", *total], rows)
    if args.csv:
        write_csv(args.csv, list(long_rows(found, ks)))


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
    found_by = partial(look, model, dataset, image_size=image_size, keep_ratio=True)
    if own is not None:
        yield f"{type(own).__name__} of the config", found_by(own)
    give_all_levels(model)
    yield "SingleObject", found_by(SingleObject())
    boxes, counts = found_by(many)
    yield "MultiObject", (boxes, counts)
    # chance level: as many boxes of the same sizes, at the clusters of another image
    yield "MultiObject on another image", (boxes.roll(len(boxes) // 2, dims=0), counts.roll(len(boxes) // 2, dims=0))
    yield "middle", found_by(FixedBox())
    yield "whole image", found_by(FixedBox((0, 0, 1, 1)))


def long_rows(found: dict[str, BoxQuality], ks: Sequence[int]) -> Iterator[dict[str, Any]]:
    """One row per localizer, number of boxes and object size."""
    for name, quality in found.items():
        for k in ks:
            for size, number in quality.objects.items():
                measures = {measure: by_size[size][k] for measure, by_size in quality.found.items()}
                whole = dict(boxes_an_image=quality.boxes, corloc=quality.corloc, k=k, mean_area=quality.area[k])
                yield dict(localizer=name, **whole, size=size, objects=number) | measures
