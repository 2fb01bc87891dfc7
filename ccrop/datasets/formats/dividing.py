"""A labeled split divided into two by its images."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.formats.labeled import LabeledSplit
from ccrop.datasets.stratification import stratified


def divide_train(
    splits: Mapping[str, LabeledSplit],
    fraction: float,
    seed: int,
    of: str | None = None,
    together: re.Pattern[str] | None = None,
) -> dict[str, LabeledSplit]:
    """Divide one of the splits into train and val; the others are kept.

    Args:
        fraction: of its images that go to val, in (0, 1).
        of: the split; default: the only one.
        seed, together: see :func:`divided`.

    Raises:
        InvalidAnnotations: see :func:`divided`; there is no such split, or several and none is given; or another
            one is train or val.
    """
    source = next(iter(splits.values())).source
    known = ", ".join(splits)
    if of is None and {"train", "val"} <= splits.keys():
        raise InvalidAnnotations(source, "the set is already divided, into train and val: use convert")
    if of is None and len(splits) > 1:
        raise InvalidAnnotations(source, f"there are the splits {known}: pass the one to divide with --of")
    of = of or known
    if of not in splits:
        raise InvalidAnnotations(source, f"there is no split {of} to divide; there is {known}")
    others = {split: each for split, each in splits.items() if split != of}
    taken = {"train", "val"} & others.keys()
    if taken:
        raise InvalidAnnotations(
            source, f"there is already a split {taken.pop()} besides {of}: the set is already divided; use convert"
        )
    train, val = divided(splits[of], fraction, seed, together)
    return dict(train=train, val=val) | others


def divided(
    labeled: LabeledSplit, fraction: float, seed: int, together: re.Pattern[str] | None = None
) -> tuple[LabeledSplit, LabeledSplit]:
    """The rest of a split, and a fraction of its images with every category in proportion.

    Args:
        fraction: in (0, 1).
        together: a regular expression; images whose names match it with the same text stay together.

    Raises:
        InvalidAnnotations: the expression does not match a name; or there is only one image or scene.
    """
    content = labeled.annotations.content
    images = {image["id"]: number for number, image in enumerate(content["images"])}
    columns = {each["id"]: number for number, each in enumerate(content["categories"])}
    classes = np.zeros((len(images), len(columns)), dtype=bool)
    for each in content["annotations"]:
        if not each["iscrowd"]:
            classes[images[each["image_id"]], columns[each["category_id"]]] = True
    names = [image["file_name"] for image in content["images"]]
    try:
        chosen = set(stratified(classes, fraction, seed, together and _scenes(names, together)))
    except ValueError as error:
        raise InvalidAnnotations(labeled.source, str(error)) from error
    rest = [number for number in range(len(names)) if number not in chosen]
    return _part(labeled, rest), _part(labeled, sorted(chosen))


def _scenes(names: Sequence[str], together: re.Pattern[str]) -> list[str]:
    """The match of a regular expression in each name: its first group, or all of it if it has none."""
    found = []
    for name in names:
        match = together.search(name)
        if match is None:
            raise ValueError(f"--together {together.pattern} matches nothing in the name {name}")
        found.append(match[1] if together.groups else match[0])
    return found


def _part(labeled: LabeledSplit, numbers: Sequence[int]) -> LabeledSplit:
    content: dict[str, list[dict[str, Any]]] = labeled.annotations.content
    images = [content["images"][number] for number in numbers]
    ids = {image["id"] for image in images}
    annotations = [each for each in content["annotations"] if each["image_id"] in ids]
    part = content | dict(images=images, annotations=annotations)
    return labeled._replace(annotations=labeled.annotations._replace(content=part))
