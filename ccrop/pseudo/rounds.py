"""Rounds of self-training for any detector: each trains on the confident boxes of the previous one.

CutLER (Wang et al., CVPR 2023, section 3.4) trains like this on images, starting from clusters.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.files import write_json
from ccrop.resume_check import differences, flat, listed
from ccrop.work_dir import LOCK, locked, metrics_file, set_aside

BOXES = "boxes.json"  # of a round, in its folder
MADE_WITH = "made_with"  # the settings of the boxes, in that file
COUNTS = ("rounds", "max_boxes")  # of the settings, whole numbers
FRACTIONS = ("min_score", "min_objectness", "agreement")  # of the settings, from 0 to 1
SOURCES = ("file", "detector", "init")  # of the settings, those that name files
WITHOUT_EFFECT = ("rounds", "agreement")  # of the settings, on the boxes of a round
OF_DETECTIONS = ("min_score",)  # which the first round has only with a ``detector``


def check_pseudo_boxes(settings: Mapping[str, Any]) -> None:
    """Refuse a section ``pseudo_boxes`` that no round could use, before any image or sweep is read.

    Raises:
        ValueError: a setting is out of its range, or not of its kind.
    """
    for name in COUNTS:
        if not isinstance(settings[name], int) or settings[name] < 1:
            raise ValueError(f"pseudo_boxes.{name} must be a whole number of at least 1, got {settings[name]}")
    for name in FRACTIONS:
        value = settings.get(name, 0)
        if not (isinstance(value, int | float) and 0 <= value <= 1):
            raise ValueError(f"pseudo_boxes.{name} must be from 0 to 1, got {value}")
    for name in SOURCES:
        value = settings.get(name)
        if not isinstance(value, str | Path | None):
            raise ValueError(f"pseudo_boxes.{name} must be a path, got {value!r}: write ./NAME, or its whole path")


def run_rounds(
    work_dir: Path,
    settings: Mapping[str, Any],
    make: Callable[[Path | None], dict[str, Any] | str],
    learn: Callable[[int, Path], None],
    check: Callable[[Path], None],
    resume: bool = False,
) -> Path:
    """Make pseudo-boxes, train a detector on them, and repeat with its own boxes.

    Args:
        work_dir: takes ``round_R/``, the folder of each round, with its ``boxes.json``.
        settings: of the boxes, see :func:`check_pseudo_boxes`; ``rounds`` is how many there are at most, ``max_boxes``
            how many boxes an example has at most, ``min_score`` that of a detector's boxes; ``file``, ``detector`` and
            ``init`` are what ``make`` and ``learn`` read. A resumed run must have those that its boxes were made with.
        make: of the folder of the round before, or None in the first; the content of ``boxes.json``, or a line that
            says why there are none, such as :func:`none_scored`, which ends the rounds.
        learn: of a round's number and folder, trains and writes ``metrics.json``, which marks it as finished.
        check: of the folder of a finished round, which is kept, refuses one that was trained with other settings, see
            :func:`ccrop.transfer.starting_point.check_finished`.
        resume: keep the finished rounds of an earlier run in the work_dir; otherwise its folder is renamed.

    Returns:
        The last round's checkpoint.

    Raises:
        ValueError: a file is in the folder to be renamed, the resumed run had other settings, or there are no boxes for
            a first round.
        WorkDirInUse: another run uses the work_dir.
    """
    last = None
    with locked(work_dir):
        if not resume and any(each.name != LOCK for each in work_dir.iterdir()):
            set_aside(work_dir, sources=[settings.get(name) for name in SOURCES])
        for number in range(settings["rounds"]):
            folder = work_dir / f"round_{number}"
            detections = number or settings.get("detector")
            without = WITHOUT_EFFECT if detections else WITHOUT_EFFECT + OF_DETECTIONS
            made_with = _given({name: value for name, value in flat(dict(settings)) if name not in without})
            if (folder / BOXES).exists():
                _require_same(folder / BOXES, made_with)
            else:
                content = make(last)
                if isinstance(content, str):
                    if last is None:
                        raise ValueError(content)
                    MMLogger.get_current_instance().info(f"Round {number - 1} was the last: {content}")
                    break
                folder.mkdir(parents=True, exist_ok=True)
                write_json(folder / BOXES, content | {MADE_WITH: made_with})
            if metrics_file(folder).exists():
                check(folder)
            else:
                learn(number, folder)
            last = folder
    assert last is not None  # there are boxes for a first round
    checkpoint = latest_checkpoint(last)
    assert checkpoint is not None  # of a finished round
    print(f"Done: fine-tune from it with tools/finetune.py --init {checkpoint}")
    return Path(checkpoint)


def _require_same(file: Path, made_with: dict[str, str]) -> None:
    before = _given(json.loads(file.read_text()).get(MADE_WITH, made_with))  # files of earlier versions do not say
    if changed := differences(before, made_with):
        raise ValueError(f"{file} was made with {listed(changed)}: repeat its options, or start again without --resume")


def _given(settings: Mapping[str, str]) -> dict[str, str]:
    """Those that are not None, so that options of later versions do not differ."""
    return {name: value for name, value in settings.items() if value != str(None)}


def none_scored(detector: str | Path, examples: str, min_score: float) -> str:
    """The reason why a detector's boxes make no round."""
    return (
        f"{detector} scores no box of the training {examples} at {min_score} or above: train it longer, or lower "
        "pseudo_boxes.min_score"
    )
