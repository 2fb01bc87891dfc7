"""Write vectors of images, or of boxes in them, from a pretrained backbone: tools/embed.py CHECKPOINT SOURCE OUT.npz

SOURCE is a folder of images, flat or nested, or with --split the root of a COCO-format set. OUT holds, as arrays of
.npz or columns of .parquet, one row per vector:

    vectors   for an image, the global average of the coarsest map, C values; for a box, RoIAlign (2x2 bins), 4 C values
    files     relative to SOURCE
    boxes     x0, y0, x1, y1 in pixels; with labels if annotated, or scores if clusters

Example:
    python tools/embed.py work_dirs/simsiam_ccrop_coco/epoch_200.pth photos/ photos.npz
    python tools/embed.py work_dirs/simsiam_ccrop_coco/epoch_200.pth data/coco objects.parquet --split val \\
        --boxes annotated --stride 8
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ccrop.cli import at_least, command, command_parser
from ccrop.config_names import config_file
from ccrop.wording import counted

if TYPE_CHECKING:
    from mmengine.config import Config

    from ccrop.datasets import ImageDataset
    from ccrop.datasets.coco import AnnotatedImage
    from ccrop.inference.embedding import Embedding
    from ccrop.models import Siamese


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a checkpoint of a pretraining run")
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a folder of images, or a COCO-format set")
    parser.add_argument("out", type=Path, metavar="OUT", help="file to create, .npz or .parquet")
    parser.add_argument("--split", help="the split to use, such as val, if SOURCE is a COCO-format set")
    parser.add_argument(
        "--boxes",
        choices=("annotated", "clusters"),
        help="embed boxes instead of whole images: annotated ones, or the model's",
    )
    parser.add_argument(
        "--stride", type=at_least(1), help="stride of the map to pool boxes from (default: 8, or the closest)"
    )
    parser.add_argument(
        "--image-size", type=at_least(1), nargs=2, metavar=("H", "W"), help="size of whole images (default: 224 224)"
    )
    parser.add_argument("--config", type=config_file, help="config of the run; default: the one in the checkpoint")
    args = parser.parse_args(argv)
    if args.boxes == "annotated" and args.split is None:
        parser.error("--boxes annotated needs a COCO-format set: pass the split with --split")
    if args.image_size and args.boxes:
        parser.error("--image-size applies to whole images only; boxes are pooled from images at their own size")
    if args.stride is not None and not args.boxes:
        parser.error("--stride needs --boxes")
    if args.out.exists():
        parser.error(f"{args.out} exists: choose another file, or remove it")
    return args


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)

    from ccrop.files import require_place
    from ccrop.inference.embedding import check_out

    check_out(args.out)
    require_place(args.out)
    embedding = embedded(args)
    embedding.write(args.out)
    number, width = embedding.vectors.shape
    files = counted(len(set(embedding.files.tolist())), "image")
    what = "images" if embedding.boxes is None else f"boxes in {files}"
    print(f"{args.out}: {number} vectors of {width} values, of {what}")
    return 0


def embedded(args: argparse.Namespace) -> "Embedding":
    """The requested vectors.

    Raises:
        MissingData: the source is not a folder, or holds no such split or annotations.
        ValueError: the backbone has no map of this stride, or there are no boxes.
    """
    import torch

    from ccrop.datasets import CocoImages, ImageFolder, MissingData
    from ccrop.datasets.reading import WHITE
    from ccrop.inference.embedding import embed_images
    from ccrop.pretrained import load_pretrained
    from ccrop.tools.evaluations.common import annotated_set

    if not args.source.is_dir():
        raise MissingData(f"{args.source} is not a folder; expected images, or a COCO-format set")
    config, model = load_pretrained(args.checkpoint, args.config, args.source)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    pixels = dict(channels=model.data_preprocessor.channels, white=config.get("white", WHITE))
    if args.boxes == "annotated":
        dataset, images = annotated_set(str(args.source), args.split, None, *pixels.values())
        return of_annotated(args, model, dataset, images)
    dataset = CocoImages(args.source, args.split, **pixels) if args.split else ImageFolder(args.source, **pixels)
    if args.boxes == "clusters":
        return of_clusters(args, config, model, dataset)
    return embed_images(model, dataset, tuple(args.image_size or (224, 224)))


def of_annotated(
    args: argparse.Namespace, model: "Siamese", dataset: "ImageDataset", images: Sequence["AnnotatedImage"]
) -> "Embedding":
    """Vectors of annotated boxes, with the names of their categories."""
    import numpy as np

    from ccrop.datasets.coco import read_split
    from ccrop.inference.embedding import embed_boxes

    stride = only_level(model, args.stride)
    names = {each["id"]: each["name"] for each in read_split(args.source, args.split)[1]["categories"]}
    labels = np.array([names[category] for image in images for category in image.categories.tolist()])
    embedding, chosen = embed_boxes(model, dataset, [image.boxes for image in images], stride)
    return replace(embedding, labels=labels[chosen])


def of_clusters(args: argparse.Namespace, config: "Config", model: "Siamese", dataset: "ImageDataset") -> "Embedding":
    """Vectors of the boxes that the run's own localizer finds, with their scores."""
    import torch

    from ccrop.inference.embedding import embed_boxes
    from ccrop.tools.evaluations.common import look, own_localizer

    localizer, settings = own_localizer(config)
    if localizer is None:
        raise ValueError(f"{config.experiment} has no localizer, so it finds no clusters: embed whole images")
    with torch.no_grad():
        found, counts = look(model, dataset, localizer, **settings)
    boxes = [each[:count].numpy() for each, count in zip(found, counts, strict=True)]
    scores = torch.cat([each[:count, 4] for each, count in zip(found, counts, strict=True)]).numpy()
    embedding, chosen = embed_boxes(model, dataset, [each[:, :4] for each in boxes], only_level(model, args.stride))
    return replace(embedding, scores=scores[chosen])


def only_level(model: "Siamese", stride: int | None) -> int:
    """Restrict the backbone to the map of one stride, default: the finest of 8 or more, and return the stride.

    Raises:
        ValueError: it has no such map.
    """
    strides = [level.stride for level in model.backbone.levels]
    stride = stride or min((each for each in strides if each >= 8), default=strides[-1])
    if stride not in strides:
        raise ValueError(f"the backbone has maps of stride {', '.join(map(str, strides))}, not {stride}")
    model.backbone.out_indices = (strides.index(stride),)
    return stride


if __name__ == "__main__":
    sys.exit(main())
