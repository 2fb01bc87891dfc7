"""nuScenes' official splits: which scenes are for training and which for validation."""

from collections.abc import Sequence
from pathlib import Path

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets.reading import read_text

TRAINVAL, MINI = "v1.0-trainval", "v1.0-mini"
# first and last number of the scenes of val, in runs
_VAL = (
    *((3, 3), (12, 18), (35, 36), (38, 39), (92, 110), (221, 221), (268, 278), (329, 332), (344, 346), (519, 524)),
    *((552, 565), (625, 627), (629, 630), (632, 638), (770, 771), (775, 775), (777, 778), (780, 784), (794, 800)),
    *((802, 802), (904, 917), (919, 931), (962, 963), (966, 969), (971, 972), (1059, 1073)),
)
VAL = tuple(f"scene-{number:04d}" for first, last in _VAL for number in range(first, last + 1))
MINI_VAL = ("scene-0103", "scene-0916")
# split: the version that it is of, its validation scenes, and whether it is these or all others
OFFICIAL = {
    "train": (TRAINVAL, VAL, False),
    "val": (TRAINVAL, VAL, True),
    "mini_train": (MINI, MINI_VAL, False),
    "mini_val": (MINI, MINI_VAL, True),
}


def version_of(split: str | None) -> str:
    """The nuScenes version of a split; v1.0-trainval for unofficial ones."""
    return OFFICIAL[split][0] if split in OFFICIAL else TRAINVAL


def scenes_of(split: str, root: Path, known: Sequence[str]) -> list[str]:
    """Names of a split's scenes.

    Args:
        split: train, val, mini_train or mini_val; or the name of a text file in the root, ``SPLIT.txt``, with the name
            of a scene on each line.
        known: names of all scenes of the version: those not for validation are for training.

    Raises:
        MissingData: the split is not official, and there is no such file.
    """
    if split in OFFICIAL:
        _, validation, is_validation = OFFICIAL[split]
        return list(validation) if is_validation else [name for name in known if name not in set(validation)]
    file = root / f"{split}.txt"
    if not file.is_file():
        raise MissingData(
            f"{file} is not a file; expected one scene name per line, or one of the official splits "
            f"{', '.join(OFFICIAL)}"
        )
    return read_text(file).split()
