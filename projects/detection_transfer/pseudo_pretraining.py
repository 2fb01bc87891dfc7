"""Pretraining a complete detector on pseudo-boxes: from unlabeled images to weights to fine-tune from.

Round 0 trains on clusters snapped to silhouettes, on the boxes of a file, or on the confident boxes of a detector that
was fine-tuned on a few labels. Each further round trains on those of the previous round's detector (self-training;
CutLER, Wang et al., CVPR 2023, section 3.4).
"""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from numpy.typing import NDArray
from torchvision.ops import nms

from ccrop.checkpoint import RANDOM
from ccrop.datasets import CocoImages, MissingData
from ccrop.datasets.base import InvalidAnnotations, say_once
from ccrop.datasets.coco import annotations_of, find_annotations, find_split
from ccrop.datasets.reading import WHITE
from ccrop.evaluation import pseudo_box_quality
from ccrop.projects.detection_transfer.cluster_boxes import clusters, looking, objects_alone, snapped
from ccrop.projects.detection_transfer.finetune import finetune, load_config
from ccrop.projects.detection_transfer.inference import load_detector
from ccrop.projects.detection_transfer.predict import detected
from ccrop.projects.detection_transfer.pseudo_boxes import (
    boxes_by_image,
    names_of,
    pseudo_annotations,
    read_pseudo_boxes,
    sizes_of,
    use_pseudo_boxes,
)
from ccrop.projects.detection_transfer.pseudo_gallery import save_gallery
from ccrop.projects.detection_transfer.unreadable import ReadableImages
from ccrop.pseudo.rounds import BOXES, check_pseudo_boxes, none_scored, run_rounds
from ccrop.runner import default_work_dir
from ccrop.transfer import set_iterations
from ccrop.transfer.starting_point import check_finished, check_init

CLUSTERS_PER_BOX = 2  # at least, of an image's max_boxes: those without a silhouette and like background are dropped
SAME_OBJECT = 0.6  # IoU at which a detector's boxes are of one object, whatever their categories


def pretrain(
    path: str | Path,
    data_root: str | Path | None = None,
    options: dict[str, Any] | None = None,
    backbone: str | None = None,
    work_dir: str | Path | None = None,
    init: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    iterations: int | None = None,
    command: str = "",
) -> Path:
    """Make pseudo-boxes, train a detector on them, and repeat with its own boxes.

    Args:
        path: a detector's config with a section ``pseudo_boxes``, such as ``configs/detector_paste_coco.py``.
        data_root, options, backbone: see :func:`ccrop.projects.detection_transfer.finetune.load_config`.
        work_dir: takes ``round_R/`` with the boxes, a picture, the log and the checkpoint of each round.
        init: what the detector starts from in every round; its backbone also localizes the clusters.
        seed: of weights and batches.
        resume: keep the finished rounds of an earlier run in the work_dir, and continue its unfinished one, see
            :func:`.finetune`; otherwise its folder is renamed.
        iterations: length of each round, see :func:`ccrop.transfer.set_iterations`; default: the config's.
        command: that called this, for the report.

    Returns:
        The last round's checkpoint.

    Raises:
        ValueError: ``pseudo_boxes`` names a file and a detector, or the detector is not confident of any box; or see
            :func:`ccrop.pseudo.rounds.check_pseudo_boxes` and :func:`ccrop.transfer.starting_point.check_init`.
        ValueError, WorkDirInUse: see :func:`ccrop.pseudo.rounds.run_rounds`.
        TooManyUnreadable: see :class:`.ReadableImages`.
    """
    config = load_config(path, data_root, options, backbone, labeled=False)
    config.command = command
    if iterations is not None:
        set_iterations(config, iterations)
    settings = config.pop("pseudo_boxes")
    check_pseudo_boxes(settings)
    if settings.file and settings.detector:
        raise ValueError("pseudo_boxes.file and pseudo_boxes.detector cannot both provide the boxes: set one of them")
    seed = config.randomness.seed if seed is None else seed
    pixels = dict(channels=config.get("channels", 3), white=config.get("white", WHITE))
    images = ReadableImages(config.train_dataloader.dataset.data_root, **pixels)
    skipped = [f"skipped {fault}" for fault in images.faults]

    def make(last: Path | None) -> dict[str, Any] | str:
        if last is None:
            check_init(config, init)
            if settings.file:
                return boxes_of_file(settings.file, images)
        if detector := last or settings.detector:
            found = sure_boxes(detector, images, settings.min_score)
            if not any(map(len, found)):
                return none_scored(detector, "images", settings.min_score)
        else:
            found = first_boxes(images, settings, Path(path).parent, init, backbone, seed)
        if last is not None and (same := agreement(found, last / BOXES, images)) >= settings.agreement:
            return f"its detector finds the boxes that it learned ({same:.0%} agree)"
        return pseudo_annotations(images, sizes_of(images), found)

    def learn(number: int, folder: Path) -> None:
        own = copy.deepcopy(config)
        file = folder / BOXES
        use_pseudo_boxes(own, file, folder, settings.max_boxes)
        own.notes = [*own.get("notes", ()), *skipped, f"Round {number} of {settings.rounds}: {described(file, images)}"]
        save_gallery(own, folder / "gallery.png")
        finetune(own, init or RANDOM, folder, seed=seed, resume="auto" if resume else None)

    def check(folder: Path) -> None:
        check_finished(folder, config, init or RANDOM, seed)

    made_with = settings | dict(init=init, backbone=backbone, seed=seed)
    return run_rounds(Path(work_dir or default_work_dir(config)), made_with, make, learn, check, resume)


def first_boxes(
    images: CocoImages, settings: ConfigDict, folder: Path, init: str | None, backbone: str | None, seed: int
) -> Sequence[NDArray[np.floating]]:
    """Snapped clusters that resemble objects.

    Args:
        settings: ``pseudo_boxes`` of the config.
        folder: that the clusters' config is named relative to.
        init, backbone, seed: see :func:`.looking`.

    Returns:
        Of each image ``(n, 5)`` x0, y0, x1, y1 in pixels and a score.

    Raises:
        ValueError: there is no box.
    """
    looks = settings.clusters | dict(config=folder / settings.clusters.config)
    model, config = looking(images, looks, init, backbone, seed)
    localizer = config.default_hooks.localization.localizer
    if "max_boxes" in localizer:
        localizer.max_boxes = max(localizer.max_boxes, CLUSTERS_PER_BOX * settings.max_boxes)
    found = snapped(images, clusters(model, images, config))
    kept = objects_alone(model, images, found, settings.min_objectness)
    if not any(map(len, kept)):
        raise ValueError(
            f"{images.data_root}: none of {sum(map(len, found))} clusters with a silhouette resembles an object by "
            f"{settings.min_objectness:g}: lower pseudo_boxes.min_objectness, start from other weights with --init, or "
            "pass boxes by pseudo_boxes.file"
        )
    return kept


def boxes_of_file(file: str | Path, images: CocoImages) -> dict[str, Any]:
    """The content of a file of pseudo-boxes, of these images; see :func:`.read_pseudo_boxes`.

    Crowds stay: areas where a detector learns neither objects nor background.
    """
    found = read_pseudo_boxes(file, images.data_root)
    if found.repaired:
        say_once(found.note(Path(file)))
    names = set(names_of(images))
    listed = [image for image in found.content["images"] if image["file_name"] in names]
    numbers = {image["id"] for image in listed}
    kept = [each for each in found.content["annotations"] if each["image_id"] in numbers]
    return found.content | dict(images=listed, annotations=kept)


def sure_boxes(detector: str | Path, images: CocoImages, min_score: float) -> Sequence[NDArray[np.floating]]:
    """A detector's boxes in each train image with a score of at least ``min_score``, as :func:`first_boxes`.

    Args:
        detector: a work_dir, or one of its checkpoints. Boxes of several categories around one object count once.

    Raises:
        FileNotFoundError, UntrustedCheckpoint, ValueError: see :func:`ccrop.transfer.prediction.load_detector`.
    """
    config, model = load_detector(detector)
    folder = Path(images.data_root, find_split(Path(images.data_root), images.split))
    found: list[NDArray[np.floating]] = [np.zeros((0, 5), np.float32)] * len(images)
    for index, (_, _, (boxes, scores, _)) in detected(model, config, folder, names_of(images), min_score):
        kept = nms(boxes.float(), scores.float(), SAME_OBJECT)
        found[index] = torch.cat([boxes, scores[:, None]], dim=1)[kept].float().numpy()
    return found


def agreement(found: Sequence[NDArray[np.floating]], file: Path, images: CocoImages) -> float:
    """F1 score of the boxes ``(n, 5)`` of each image against those of a file, which match at an IoU of 0.5."""
    learned = boxes_by_image(json.loads(file.read_text()))
    before = [learned.get(name, np.zeros((0, 4))) for name in names_of(images)]
    quality = pseudo_box_quality([own[:, :4] for own in found], before)
    recall, precision = quality["recall_0.5"], quality["precision_0.5"]
    return 2 * recall * precision / (recall + precision) if recall > 0 else 0.0


def described(file: Path, images: CocoImages) -> str:
    """The number of boxes in a file, and their quality if the train split is annotated."""
    boxes = boxes_by_image(json.loads(file.read_text()))
    line = f"{sum(map(len, boxes.values())):,} pseudo-boxes of {len(boxes):,} of {len(images):,} images"
    root = Path(images.data_root)
    try:
        annotated = annotations_of(root, images.split, find_annotations(root, images.split), agnostic=True)
    except MissingData:
        return line
    except InvalidAnnotations as error:
        return f"{line}; not compared with annotations: {error}"
    objects = boxes_by_image(annotated.content)
    nothing = np.zeros((0, 4))
    quality = pseudo_box_quality([boxes.get(name, nothing) for name in objects], list(objects.values()))
    shown = [
        f"{name} at IoU {iou} {quality[f'{name}_{iou}']:.1%}, small {quality[f'{name}_{iou}_small']:.1%}"
        for name in ("recall", "precision")
        for iou in (0.3, 0.5)
    ]
    return f"{line}; by the annotations, which are not trained on: {'; '.join(shown)}"
