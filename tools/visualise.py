"""Draw what a checkpoint sees: image, heatmap, boxes, the two views of a pair, and a histogram of the boxes' areas.

Example:
    python tools/visualise.py work_dirs/simsiam_ccrop_coco/epoch_200.pth --data-root data/coco --out gallery.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import DictAction
from mmengine.registry import DATASETS, HOOKS, MODELS

from ccrop.compat.checkpoint import UntrustedCheckpoint, load_checkpoint
from ccrop.datasets import BoxStore
from ccrop.hooks import LocalizationHook
from ccrop.hooks.contact_sheet import contact_sheet
from ccrop.hooks.gallery import box_areas, look
from ccrop.hooks.localization import locate
from ccrop.localization import SingleObject
from ccrop.runner import load_config


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a checkpoint of a pretraining run")
    parser.add_argument("--config", type=Path, help="default: the one that the run left beside the checkpoint")
    parser.add_argument("--data-root", help="default: that of the run")
    parser.add_argument("--out", type=Path, default=Path("gallery.png"), help="default: %(default)s")
    parser.add_argument("--images", type=int, default=12, help="evenly spaced over the set (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the crops (default: %(default)s)")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="K=V", help="override the config")
    args = parser.parse_args(argv)
    try:
        config_file = args.config or find_config(args.checkpoint)
        options = {"train_dataloader.dataset.subset": args.images} | (args.cfg_options or {})
        config = load_config(config_file, args.data_root, options)
        state = load_checkpoint(args.checkpoint)["state_dict"]
        model = MODELS.build(config.model)
        model.load_state_dict(state)
        dataset = DATASETS.build(config.train_dataloader.dataset)
    except (OSError, UntrustedCheckpoint) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2

    model.eval()
    settings = config.default_hooks.get("localization")
    look_at = HOOKS.build(settings or dict(type=LocalizationHook, localizer=dict(type=SingleObject)))
    where = (look_at.localizer, look_at.image_size)
    areas = None
    with torch.no_grad():
        if settings:
            dataset.boxes = BoxStore(len(dataset), look_at.localizer.max_boxes, dataset.fingerprint())
            dataset.update_boxes(*locate(model, dataset, *where, look_at.batch_size, keep_ratio=look_at.keep_ratio))
            areas = box_areas(dataset.boxes)
        rows = look(model, dataset, *where, range(len(dataset)), (args.seed, 0), look_at.keep_ratio)
    contact_sheet(rows, f"{config_file.stem}, {args.checkpoint.name}", areas=areas).save(args.out)
    print(args.out)
    return 0


def find_config(checkpoint: Path) -> Path:
    """The config that a run wrote into its work_dir.

    Raises:
        FileNotFoundError: there is none, or more than one.
    """
    found = sorted(checkpoint.parent.glob("*.py"))
    if len(found) != 1:
        raise FileNotFoundError(f"{checkpoint.parent} holds {len(found)} configs: name the one by --config")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
