"""Small labeled sets for the tests of formats."""

from pathlib import Path

from PIL import Image

from ccrop.datasets.formats import LabeledSplit


def draw(*files: Path, size: tuple[int, int] = (100, 50)) -> None:
    """Images of a size, in new folders."""
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(file)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def objects(split: LabeledSplit) -> list[tuple[str, list[float], str, int]]:
    """File, box x, y, width, height, category and crowd of every annotation."""
    content = split.annotations.content
    files = {image["id"]: image["file_name"] for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    return [
        (files[each["image_id"]], each["bbox"], names[each["category_id"]], each["iscrowd"])
        for each in content["annotations"]
    ]


def classes(split: LabeledSplit) -> list[str]:
    return [each["name"] for each in split.annotations.content["categories"]]
