"""Draw what a checkpoint sees: image, heatmap, boxes and the two views of a pair.

Example:
    python tools/visualise.py work_dirs/simsiam_ccrop_coco/epoch_200.pth --data-root data/coco --out gallery.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import DictAction
from mmengine.registry import DATASETS, MODELS, TASK_UTILS

from ccrop.compat.checkpoint import UntrustedCheckpoint, load_checkpoint
from ccrop.datasets import BoxStore
from ccrop.hooks.gallery import contact_sheet, look
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
    localization = config.default_hooks.get("localization")
    image_size = tuple(localization.image_size) if localization else (224, 224)
    localizer = TASK_UTILS.build(localization.localizer) if localization else SingleObject()
    with torch.no_grad():
        if localization:
            dataset.boxes = BoxStore(len(dataset), localizer.max_boxes, dataset.fingerprint())
            dataset.boxes.update(*locate(model, dataset, localizer, image_size))
        rows = look(model, dataset, localizer, image_size, range(len(dataset)), (args.seed, 0))
    contact_sheet(rows, f"{config_file.stem}, {args.checkpoint.name}").save(args.out)
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
