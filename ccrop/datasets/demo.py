"""The demo set: a small COCO-format detection set, drawn from a seed.

Scenes of 320 x 240 pixels hold 1 to 12 objects of ten classes, with COCO's fractions of small and large ones.
A class is a shape with a texture; color, angle, light and background say nothing about it.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image

from ccrop.available_cores import fitting_workers

from .demo_drawing import HEIGHT, SHAPES, TEXTURES, WIDTH, Thing, draw_scene, make_thing, overlap
from .generated import generate

CLASSES = tuple(f"{texture} {shape}" for shape in SHAPES for texture in TEXTURES)
SPLITS = ("train2017", "val2017")
VERSION = 1
# Roots of the objects' areas in pixels. Occlusion and rejection make these fractions about 41 : 34 : 25.
SIZES = ((8, 32), (32, 96), (98, 150))
SHARES = (0.36, 0.31, 0.33)
MIN_VISIBLE = 0.35
MIN_PIXELS = 20


def make_demo_set(
    root: Path | str, num_train: int = 512, num_val: int = 128, seed: int = 0, workers: int | None = None
) -> None:
    """Draw the set into `root`: `train2017/`, `val2017/` and `annotations/instances_*.json`.

    The folder appears only when complete; an existing one with the same parameters is kept.

    Args:
        workers: drawing processes; the set does not depend on it. Default: one per core, at most 8.

    Raises:
        FileExistsError: `root` exists and is something else.
    """
    if min(num_train, num_val) < 0:
        raise ValueError(f"the numbers of images must not be negative, got {num_train} and {num_val}")
    recipe = {"version": VERSION, "num_train": num_train, "num_val": num_val, "seed": seed}
    generate(root, recipe, "*2017/*.jpg", lambda folder: _fill(folder, recipe, workers))


def _fill(folder: Path, recipe: dict, workers: int | None) -> None:
    (folder / "annotations").mkdir()
    jobs = []
    for split, count in zip(SPLITS, (recipe["num_train"], recipe["num_val"]), strict=True):
        (folder / split).mkdir()
        jobs += [(split, index) for index in range(count)]
    records = _draw_all(folder, jobs, recipe["seed"], workers)
    for split in SPLITS:
        chosen = [record for job, record in zip(jobs, records, strict=True) if job[0] == split]
        text = json.dumps(_coco(split, chosen, recipe), separators=(",", ":"))
        (folder / "annotations" / f"instances_{split}.json").write_text(text)


def sample_layout(rng: Generator) -> tuple[list[Thing], np.ndarray, float]:
    """Place objects on one canvas, nearer ones usually larger and lower.

    Returns:
        The things from back to front; the `(240, 320)` uint8 map of which one is visible where, 0 for
        none and i + 1 for thing i; and the horizon as a fraction of the height.
    """
    horizon = rng.uniform(0.2, 0.5)
    things: list[Thing] = []
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    while not things:
        candidates = [_sample_thing(horizon, rng) for _ in range(rng.integers(1, 13))]
        for thing in sorted(candidates, key=lambda thing: -thing.area):
            _place(thing, things, labels, rng)
    order = sorted(range(len(things)), key=lambda i: things[i].base)
    rank = np.zeros(len(things) + 1, np.uint8)
    rank[np.array(order) + 1] = np.arange(1, len(things) + 1)
    return [things[i] for i in order], rank[labels], horizon


def _sample_thing(horizon: float, rng: Generator) -> Thing:
    low, high = SIZES[rng.choice(3, p=SHARES)]
    side = np.exp(rng.uniform(np.log(low), np.log(high)))
    category = int(rng.integers(len(CLASSES)))
    thing = make_thing(SHAPES[category // len(TEXTURES)], side, rng, category)
    nearness = np.log(side / SIZES[0][0]) / np.log(SIZES[-1][1] / SIZES[0][0]) + rng.normal(0, 0.25)
    if rng.random() < 0.15:
        nearness = rng.uniform(-1, 1)
    thing.base = (horizon + (1 - horizon) * min(nearness, 1.05)) * HEIGHT
    return thing


def _place(thing: Thing, things: list[Thing], labels: np.ndarray, rng: Generator) -> None:
    """Add the thing behind those that stand lower, if all remain visible; give up after 30 tries."""
    height, width = thing.alpha.shape
    area = np.array([each.area for each in [*things, thing]])
    nearer = np.array([False, *(each.base > thing.base for each in things)])
    needed = np.maximum(MIN_VISIBLE * area, MIN_PIXELS)
    visible = np.bincount(labels.ravel(), minlength=len(area) + 1)[1:]
    most_covered = 1 if rng.random() < 0.4 else 0.08
    for _ in range(30):
        x = rng.uniform(-0.25 * width, WIDTH - 0.75 * width)
        y = np.clip(thing.base + rng.normal(0, 0.04) * HEIGHT, 0.75 * height, HEIGHT + 0.1 * height) - height
        thing.corner = np.array((x, y)).astype(int)
        region, inside = overlap(thing)
        under, mask = labels[region], thing.alpha[inside] > 127
        mask &= ~nearer[under]
        covered = np.bincount(under[mask], minlength=len(area) + 1)[1:]
        left = visible - covered
        left[-1] = mask.sum()
        hidden = covered / area
        hidden[-1] = 1 - left[-1] / area[-1]
        if hidden.max() <= most_covered and (left >= needed).all():
            things.append(thing)
            under[mask] = len(things)
            return


def mask_polygons(mask: np.ndarray, corner: tuple[int, int] = (0, 0)) -> list[list[float]]:
    """COCO polygons [x0, y0, x1, y1, ...] along pixel edges, which rasterize to exactly `mask` `(h, w)`.

    COCO has no holes: a part with one is cut in two through the hole.

    Args:
        corner: (x, y) of the mask's first pixel.
    """
    doubled = mask.astype(np.uint8).repeat(2, 0).repeat(2, 1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes = [
        contour for contour, links in zip(contours, hierarchy[0] if contours else (), strict=True) if links[3] >= 0
    ]
    if holes:
        cut = int(holes[0][:, 0, 0].mean()) // 2 + 1
        return mask_polygons(mask[:, :cut], corner) + mask_polygons(mask[:, cut:], (corner[0] + cut, corner[1]))
    # In the doubled mask a left edge has an even coordinate, 2 x, and a right edge an odd one, 2 x - 1.
    return [((contour[:, 0] + 1) // 2 + corner).ravel().tolist() for contour in contours]


def _draw_example(root: Path, seed: int, job: tuple[str, int]) -> list[dict]:
    """Write the image of `job` (split, index); return its objects' annotations, without their ids."""
    split, index = job
    layout, look = np.random.default_rng((seed, SPLITS.index(split), index)).spawn(2)
    things, labels, horizon = sample_layout(layout)
    image = Image.fromarray(draw_scene(things, horizon, look))
    image.save(root / split / file_name(index), quality=90)
    annotations = []
    for number, thing in enumerate(things, 1):
        mask = labels == number
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        x, y, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        annotations.append(
            {
                "image_id": index + 1,
                "category_id": thing.category + 1,
                "iscrowd": 0,
                "area": int(mask.sum()),
                "bbox": [x, y, right - x, bottom - y],
                "segmentation": mask_polygons(mask[y:bottom, x:right], (x, y)),
            }
        )
    return annotations


def file_name(index: int) -> str:
    return f"{index + 1:012d}.jpg"


def _start_worker() -> None:
    cv2.setNumThreads(1)


def _draw_all(root: Path, jobs: list[tuple[str, int]], seed: int, workers: int | None) -> list[list[dict]]:
    draw = partial(_draw_example, root, seed)
    if workers is None:
        workers = fitting_workers(8)
    workers = min(workers, len(jobs) // 16)  # starting a process takes as long as drawing a few images
    if workers < 2:
        return [draw(job) for job in jobs]
    # Spawned, because a fork of a process in which OpenCV has run threads can hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker) as pool:
        return list(pool.map(draw, jobs, chunksize=8))


def _coco(split: str, records: list[list[dict]], parameters: dict) -> dict:
    annotations = [annotation for record in records for annotation in record]
    return {
        "info": {"description": f"ccrop demo set, {split}", **parameters},
        "licenses": [],
        "images": [
            {"id": index + 1, "file_name": file_name(index), "width": WIDTH, "height": HEIGHT}
            for index in range(len(records))
        ],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, 1)],
        "categories": [
            {"id": number, "name": name, "supercategory": name.split()[1]} for number, name in enumerate(CLASSES, 1)
        ],
    }
