"""Measure what one more image costs, in memory and in time: tools/scale.py {paths,boxes,crops} --images N

    python tools/scale.py paths --images 1000000                # list a folder of empty files, as a data set does
    python tools/scale.py boxes --images 1000000 --boxes 32     # fill, describe, save and restore a store of boxes
    torchrun --standalone --nproc-per-node=2 tools/scale.py boxes --images 1000000 --boxes 32
    python tools/scale.py crops --images 2000                   # crops that move because boxes are stored in 16 bits

No images are needed, the boxes are random. Seconds are of CPU time; memory is this process's highest resident set, in
which shared memory counts in every process of the node although there is one copy. Files are temporary.
"""

import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from ccrop.cli import command, command_parser

FOLDER = 1000  # files in one
SIDES = 640, 4000, 16000  # of images, in pixels


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("what", choices=("paths", "boxes", "crops"), help="what to measure")
    parser.add_argument("--images", type=int, default=100_000, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--boxes", type=int, default=32, metavar="K", help="boxes per image (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.images < 1 or args.boxes < 1:
        parser.error(f"--images and --boxes must be positive, got {args.images} and {args.boxes}")

    from mmengine.dist import is_main_process

    from ccrop.compat.distributed import init_distributed

    if "WORLD_SIZE" in os.environ:
        init_distributed("pytorch", {})
    with TemporaryDirectory() as folder:
        steps = dict(
            paths=partial(of_paths, folder, args.images),
            boxes=partial(of_boxes, folder, args.images, args.boxes),
            crops=partial(of_crops, args.images),
        )[args.what]()
        base = None
        for name, step in steps:
            base = base or peak()
            start = process_time()
            found = step()
            seconds = process_time() - start
            if is_main_process():
                print(f"{name:30}{seconds:9.2f} s {1e6 * seconds / args.images:9.2f} us per image    {found}".rstrip())
        if is_main_process():
            grown = peak() - (base or 0)
            print(f"peak memory: {grown / 1e6:.0f} MB above the start, {grown / args.images:.0f} bytes per image")
    return 0


Steps = Iterator[tuple[str, Callable[[], Any]]]


def of_paths(folder: str, images: int) -> Steps:
    """Names, and what is done, of a data set's list of files."""
    from ccrop.datasets import ImageFolder, SeededSampler

    for start in range(0, images, FOLDER):
        own = Path(folder, f"{start // FOLDER:06d}")
        own.mkdir()
        for number in range(start, min(start + FOLDER, images)):
            (own / f"{number:09d}.jpg").touch()
    known = []

    def load() -> str:
        known.append(ImageFolder(folder))
        size = known[0].data_bytes.nbytes + known[0].data_address.nbytes
        return f"{size / images:.0f} bytes per image are kept in each rank"

    yield "list and load", load
    yield "order of an epoch", lambda: sum(1 for _ in SeededSampler(known[0], seed=0))
    yield "fingerprint", lambda: known[0].fingerprint()


def of_boxes(folder: str, images: int, max_boxes: int) -> Steps:
    """Names, and what is done, of a localization's boxes, all K of each image."""
    import torch

    from ccrop.datasets import BoxStore, ShardedBatches
    from ccrop.datasets.checkpointed_boxes import restore_boxes, saved_boxes
    from ccrop.inference.locate import describe

    store = BoxStore(images, max_boxes, "random")
    share = ShardedBatches(images, 64)
    low = torch.rand(64, max_boxes, 2) * 0.6
    boxes = torch.cat([low, low + 0.3, torch.ones(64, max_boxes, 1)], dim=-1)
    states: list[dict[str, Any]] = []

    def fill() -> str:
        for batch in share:
            store.write(torch.tensor(batch), boxes[: len(batch)], torch.full((len(batch),), max_boxes))
        store.exchange(share)
        return f"{store.nbytes / 1e6:.0f} MB shared by the ranks of a node"

    def save() -> str:
        states.append(saved_boxes(store, folder))
        return "next to the checkpoint" if "file" in states[0] else "in the checkpoint"

    yield "fill", fill
    yield "describe", lambda: f"{describe(store, (224, 224))['clusters']:.0f} boxes per image"
    yield "save", save
    yield "restore", lambda: restore_boxes(store, states[0], Path(folder, "epoch_1.pth"))


def of_crops(images: int) -> Steps:
    """Names, and what is done, of two crops per image around one box, as it is and as it is stored."""
    import numpy as np
    import torch

    from ccrop.datasets import BoxStore
    from ccrop.views import ContrastiveCrop

    low = torch.rand(images, 1, 2, generator=torch.Generator().manual_seed(0)) * 0.7
    boxes = torch.cat([low, low + 0.29, torch.ones(images, 1, 1)], dim=-1)
    store = BoxStore(images, 1, "random")
    store.update(boxes, torch.ones(images, dtype=torch.long))
    crop, exact = ContrastiveCrop(), boxes.numpy()

    def compared(side: int) -> str:
        size = side * 3 // 4, side
        off = [
            np.abs(
                np.subtract(
                    crop(np.random.default_rng(image), size, exact[image], 2),
                    crop(np.random.default_rng(image), size, store[image], 2),
                )
            ).max(axis=1)
            for image in range(images)
        ]
        return f"{np.mean(np.array(off) > 0):.1%} of the crops move, by {np.max(off)} px at most"

    for side in SIDES:
        yield f"crops of images {side} px wide", partial(compared, side)


def peak() -> float:
    """Bytes of the highest resident set so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(main())
