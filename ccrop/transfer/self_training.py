"""Self-training, whatever the detector: its settings, who makes the boxes, and how often a labeled example counts."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process

from ccrop.datasets.reading import printable


def check_self_training(settings: Mapping[str, Any]) -> None:
    """Refuse a section ``self_training`` that cannot be used.

    Raises:
        ValueError: a setting is out of its range, or not of its kind.
    """
    for name in ("teacher", "unlabeled"):
        if not isinstance(settings.get(name), str | Path | None) or settings.get(name) == "":
            raise ValueError(f"self_training.{name} must be a path, got {settings[name]!r}: write ./NAME")
    for name, end in (("min_score", 1), ("labeled_fraction", 0.999)):
        value = settings[name]
        if isinstance(value, bool) or not (isinstance(value, int | float) and 0 <= value <= end):
            raise ValueError(f"self_training.{name} must be from 0 to {end:g}, got {value}")
    if settings["teacher"] is None and settings.get("unlabeled") is not None:
        raise ValueError("self_training.unlabeled is of self_training.teacher, which is missing")


def require_classes(teacher: str | Path, known: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse a teacher that does not know all classes: unlabeled objects of the others would be learned as background.

    Args:
        teacher: for the message.
        known: what it detects.
        classes: what is learned.

    Raises:
        ValueError: names the classes that are missing.
    """
    if missing := [name for name in classes if name not in known]:
        raise ValueError(
            f"{teacher} does not detect {', '.join(map(printable, missing))}, which this data set labels: "
            "pass a teacher that was fine-tuned on the same categories"
        )


def in_main_process(work: Callable[[], None]) -> None:
    """Do in the main process what the others wait for; its error ends all of them.

    Raises:
        ValueError: in the others, the error of the main process.
    """
    refusal: list[str | None] = [None]
    if is_main_process():
        try:
            work()
        except Exception as error:
            broadcast_object_list([str(error) or type(error).__name__])
            raise
    broadcast_object_list(refusal)
    if refusal[0] is not None:
        raise ValueError(refusal[0])


def repetitions(labeled: int, unlabeled: int, fraction: float) -> int:
    """How often each labeled example must count to be about this fraction of all; at least once."""
    return max(1, round(fraction / (1 - fraction) * unlabeled / labeled))


def taught_by(settings: Mapping[str, Any]) -> str:
    """What a detector learns next to its labels, for the log; a resumed run must say the same."""
    return f", and on boxes of {settings['teacher']} with a score of at least {settings['min_score']:g} on others"
