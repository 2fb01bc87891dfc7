"""Draw what a checkpoint sees: image, heatmap, boxes, the two views of a pair, and a histogram of the boxes' areas.

Example:
    python tools/visualize.py work_dirs/simsiam_ccrop_coco/epoch_200.pth --data-root data/coco --out gallery.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ccrop.cli import OptionsAction, add_picture, command, command_parser, seed
from ccrop.config_names import config_file


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a checkpoint of a pretraining run")
    parser.add_argument("--config", type=config_file, help="default: the one in the checkpoint")
    parser.add_argument("--data-root", help="default: that of the run")
    add_picture(parser, "gallery.png", (".png", ".jpg", ".jpeg"))
    parser.add_argument(
        "--images", type=int, default=12, help="number of images, evenly spaced over the set (default: %(default)s)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of the crops (default: %(default)s)")
    parser.add_argument(
        "--cfg-options", nargs="+", action=OptionsAction, metavar="K=V", help="override config settings"
    )
    args = parser.parse_args(argv)

    import torch

    from ccrop.config_options import options_explained
    from ccrop.files import require_place, written

    require_place(args.out)
    with options_explained(args.cfg_options), torch.no_grad():
        picture = draw(args)
    with written(args.out) as partial:
        picture.save(partial)
    print(args.out)
    return 0


def draw(args: argparse.Namespace) -> Image.Image:
    """The contact sheet of a run; without boxes if it does not localize."""
    from mmengine.registry import DATASETS, HOOKS

    from ccrop.datasets import BoxStore
    from ccrop.hooks import LocalizationHook
    from ccrop.inference.contact_sheet import contact_sheet
    from ccrop.inference.locate import locate
    from ccrop.inference.panels import annotated_objects, box_areas, look
    from ccrop.localization import SingleObject
    from ccrop.pretrained import load_pretrained

    options = {"train_dataloader.dataset.subset": args.images} | (args.cfg_options or {})
    config, model = load_pretrained(args.checkpoint, args.config, args.data_root, options)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    settings = config.default_hooks.get("localization")
    own = HOOKS.build(settings) if settings else None
    hook = own if isinstance(own, LocalizationHook) else LocalizationHook(dict(type=SingleObject))
    where, areas = (hook.localizer, hook.image_size), None
    if hook is own:
        dataset.boxes = BoxStore(len(dataset), hook.localizer.max_boxes, dataset.fingerprint())
        dataset.update_boxes(*locate(model, dataset, *where, hook.batch_size, keep_ratio=hook.keep_ratio))
        areas = box_areas(dataset.boxes)
    indices = range(len(dataset))
    objects = annotated_objects(dataset, indices)
    rows = look(model, dataset, *where, indices, (args.seed, 0), hook.keep_ratio, objects)
    return contact_sheet(rows, f"{config.experiment}, {args.checkpoint.name}", areas=areas)


if __name__ == "__main__":
    sys.exit(main())
