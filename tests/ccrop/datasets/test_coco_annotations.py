"""Annotation files of kinds that people have: repaired in memory and counted, or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ccrop.datasets.base import InvalidAnnotations
from ccrop.datasets.coco_annotations import Annotations, read_annotations

FOLDER = Path("train")
SIZES = [(64, 48), (40, 80)]
BOXES = [(0, [4, 6, 20, 10], 1), (0, [30, 20, 12, 25], 2), (1, [5, 40, 30, 30], 2)]  # image, box, category


def right() -> dict[str, Any]:
    """Two images with three boxes."""
    return dict(
        images=[dict(id=11 + i, file_name=f"{i}.png", width=w, height=h) for i, (w, h) in enumerate(SIZES)],
        annotations=[
            dict(id=n, image_id=11 + i, category_id=kind, bbox=box, area=box[2] * box[3], iscrowd=0)
            for n, (i, box, kind) in enumerate(BOXES, 1)
        ],
        categories=[dict(id=1, name="cat"), dict(id=2, name="dog")],
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    for number, size in enumerate(SIZES):
        Image.new("RGB", size).save(tmp_path / FOLDER / f"{number}.png")
    return tmp_path


def read(root: Path, content: dict[str, Any], **settings: Any) -> Annotations:
    file = root / "labels.json"
    file.write_text(json.dumps(content))
    return read_annotations(file, root, FOLDER, **settings)


def edited(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    content = right()
    change(content)
    return content


def each(part: str, change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The right content with a change of each entry of a list."""
    return edited(lambda content: [change(entry) for entry in content[part]])


def objects(found: Annotations) -> list[tuple[str, list[float], str]]:
    """File, box and category's name of all annotations."""
    files = {image["id"]: image["file_name"] for image in found.content["images"]}
    names = {category["id"]: category["name"] for category in found.content["categories"]}
    return [(files[a["image_id"]], a["bbox"], names[a["category_id"]]) for a in found.content["annotations"]]


OBJECTS = [(f"{i}.png", box, ("cat", "dog")[kind - 1]) for i, box, kind in BOXES]


def test_a_right_file_stays_as_it_is(root):
    found = read(root, right())
    assert found == (right(), [], [])
    assert found.note(Path("x.json")) == ""


@pytest.mark.parametrize("settings", [{}, dict(agnostic=True)])
def test_repeated_annotations_are_kept_and_counted(root, settings):
    content = edited(lambda c: c["annotations"].extend(a | dict(id=a["id"] + 10) for a in c["annotations"][:2]))
    other = content["annotations"][0] | dict(id=99, category_id=2)  # the same box of another category is none
    content["annotations"].append(other)
    found = read(root, content, **settings)
    assert [a["id"] for a in found.content["annotations"]] == [1, 2, 3, 11, 12, 99]
    assert found.repaired == []
    line = "x.json: 2 annotations repeat another's image, category and box (kept)"
    assert found.note(Path("x.json")) == line


def test_a_note_says_what_was_repaired_before_what_is_doubtful(root):
    content = each("annotations", lambda a: a.update(id=7))
    content["annotations"].append(content["annotations"][0])
    repaired, doubtful = "4 annotation ids of which some", "1 annotations repeat another's"
    note = read(root, content).note(Path("x.json"))
    assert note.startswith(f"x.json: repaired in memory: {repaired}")
    assert f"; {doubtful}" in note


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (each("annotations", lambda a: a.update(id=a["id"] - 1)), "3 annotation ids"),
        (each("annotations", lambda a: a.pop("id")), "3 annotation ids"),
        (each("annotations", lambda a: a.update(id=7)), "3 annotation ids"),
        (each("annotations", lambda a: a.update(id=f"a{a['id']}")), "3 annotation ids"),
        (each("annotations", lambda a: a.update(id=a["id"] + 10**20)), "3 annotation ids"),
        (each("annotations", lambda a: a.pop("iscrowd")), "3 annotations without an iscrowd"),
        (each("annotations", lambda a: a.update(iscrowd=None)), "3 annotations without an iscrowd"),
        (each("annotations", lambda a: a.update(image_id=str(a["image_id"]))), "3 image ids of annotations"),
        (each("annotations", lambda a: a.update(image_id=float(a["image_id"]))), "3 image ids of annotations"),
        (each("annotations", lambda a: a.update(category_id=str(a["category_id"]))), "3 category ids of annotations"),
        (each("images", lambda i: i.update(file_name="images/" + i["file_name"])), "2 file names"),
        (each("images", lambda i: i.update(file_name="data\\train\\" + i["file_name"])), "2 file names"),
        (each("images", lambda i: i.update(file_name="./" + i["file_name"])), "2 file names"),
        (edited(lambda c: c["images"].append(c["images"][0])), "1 images listed twice"),
    ],
)
def test_what_can_be_repaired_is_and_is_counted_in_one_line(root, content, note):
    found = read(root, content)
    assert objects(found) == OBJECTS
    ids = [a["id"] for a in found.content["annotations"]]
    assert len(set(ids)) == 3
    assert all(type(number) is int and 0 < number < 2**53 for number in ids)
    assert [a["iscrowd"] for a in found.content["annotations"]] == [0, 0, 0]
    assert [note in line for line in found.repaired] == [True]
    assert found.note(Path("x.json")) == f"x.json: repaired in memory: {'; '.join(found.repaired)}"


@pytest.mark.parametrize("change", [lambda number: f"img-{number}", lambda number: 10**30 + number, lambda n: n + 0.5])
def test_image_ids_that_are_no_integers_become_numbers(root, change):
    content = right()
    for image in content["images"]:
        image["id"] = change(image["id"])
    for annotation in content["annotations"]:
        annotation["image_id"] = change(annotation["image_id"])
    found = read(root, content)
    assert objects(found) == OBJECTS
    assert [image["id"] for image in found.content["images"]] == [1, 2]
    assert found.repaired == ["2 image ids that are not integers below 2^53 (renumbered from 1)"]


def test_category_ids_that_are_words_become_numbers(root):
    content = right()
    for category in content["categories"]:
        category["id"] = f"c{category['id']}"
    for annotation in content["annotations"]:
        annotation["category_id"] = f"c{annotation['category_id']}"
    found = read(root, content)
    assert objects(found) == OBJECTS
    assert [category["id"] for category in found.content["categories"]] == [1, 2]


def test_a_byte_order_mark_is_no_part_of_the_text(root):
    (root / "labels.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(right()).encode())
    found = read_annotations(root / "labels.json", root, FOLDER)
    assert found == (right(), ["a byte order mark before the text"], [])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (edited(lambda c: c["images"][1].update(id=11)), r"image id 11 belongs to both 0\.png and 1\.png"),
        (edited(lambda c: c["images"][1].update(id="11")), "image id 11 belongs to"),
        (edited(lambda c: c["images"][1].update(file_name="0.png")), r"0\.png is listed under the image ids 11 and 12"),
        (edited(lambda c: c["annotations"][2].update(image_id=99)), "the first, 3, to image 99"),
        (edited(lambda c: c["annotations"][2].update(category_id=9)), r"use the unlisted categories \['9'\]: add"),
        (edited(lambda c: c["annotations"][2].pop("category_id")), r"use the unlisted categories \['None'\]"),
        (edited(lambda c: c["categories"][1].update(id=1)), r"category id 1 more than once, as \['cat', 'dog'\]"),
        (edited(lambda c: c["images"][1].pop("file_name")), "entry 1 of its list images has no file_name"),
        (edited(lambda c: c["images"][1].update(file_name=["1.png"])), "entry 1 .* has a file_name that is not text"),
        (edited(lambda c: c["images"][1].update(file_name={"a": 1})), "entry 1 .* has a file_name that is not text"),
        (edited(lambda c: c["images"][1].update(file_name=7)), "entry 1 .* has a file_name that is not text"),
        (edited(lambda c: c["images"][1].pop("id")), "entry 1 of its list images has no id"),
        (edited(lambda c: c["annotations"][1].pop("image_id")), "entry 1 of its list annotations has no image_id"),
        (edited(lambda c: c.update(images="none")), "it has no list images, which COCO's format requires"),
        (edited(lambda c: c.pop("annotations")), "it has no list annotations"),
        (edited(lambda c: c.update(annotations=[3])), "entry 0 of its list annotations has no image_id"),
        ([], "it has no list images and no list annotations"),
        (each("images", lambda i: i.update(file_name="x/" + i["file_name"] + "x")), "none of its 2 images is in"),
        (edited(lambda c: c["images"][0].update(file_name="../../secret.png")), "is outside"),
        (edited(lambda c: c["images"][0].update(file_name="/etc/0.png")), "/etc/0.png is outside"),
        (edited(lambda c: c["images"][0].update(file_name="..\\..\\0.png")), "is outside"),
        (edited(lambda c: c["images"][0].update(file_name="")), "entry 0 of its list images has no file_name"),
        (
            edited(lambda c: c["categories"][1].update(name="cat")),
            "it has objects of two categories cat, with the ids 1 and 2: rename one",
        ),
    ],
)
def test_what_cannot_be_repaired_is_refused_by_file_and_reason(root, content, reason):
    with pytest.raises(InvalidAnnotations, match=rf"labels\.json: .*{reason}") as caught:
        read(root, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"", b'{"images": [', b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_no_json_is_refused(root, text):
    (root / "labels.json").write_bytes(text)
    with pytest.raises(InvalidAnnotations, match=r"labels\.json: it is not valid JSON \("):
        read_annotations(root / "labels.json", root, FOLDER)


def test_a_file_that_cannot_be_read_is_named(root):
    with pytest.raises(InvalidAnnotations, match=r"it cannot be read \(Is a directory\)"):
        read_annotations(root / FOLDER, root)


def test_absolute_and_parent_paths_that_stay_in_the_root_are_followed(root):
    (root / "more").mkdir()
    (root / FOLDER / "1.png").rename(root / "more/1.png")
    names = [str(root / FOLDER / "0.png"), "../more/1.png"]
    found = read(root, edited(lambda c: [i.update(file_name=n) for i, n in zip(c["images"], names, strict=True)]))
    assert [image["file_name"] for image in found.content["images"]] == ["0.png", "../more/1.png"]


def test_names_that_are_in_the_folder_are_not_shortened(root):
    (root / FOLDER / "sub").mkdir()
    Image.new("RGB", SIZES[0]).save(root / FOLDER / "sub/0.png")
    found = read(root, edited(lambda c: c["images"][0].update(file_name="sub/0.png")))
    assert [image["file_name"] for image in found.content["images"]] == ["sub/0.png", "1.png"]


def training(root: Path, *categories: tuple[Any, str]) -> Path:
    file = root / "training.json"
    listed = [dict(id=number, name=name) for number, name in categories]
    file.write_text(json.dumps(dict(images=[], annotations=[], categories=listed)))
    return file


@pytest.mark.parametrize(
    "categories",
    [
        [(1, "cat"), (2, "dog"), (3, "eel")],  # one more
        [(2, "dog"), (1, "cat")],  # another order
        [(7, "dog"), (5, "bat"), (6, "cat")],  # other numbers
        [("x", "dog"), ("y", "cat")],
    ],
)
def test_categories_are_those_of_the_training_split_by_name(root, categories):
    found = read(root, right(), numbered_by=training(root, *categories))
    assert objects(found) == OBJECTS
    assert [category["name"] for category in found.content["categories"]] == [name for _, name in categories]
    assert "its list and numbering are used" in found.repaired[0]


def test_a_category_that_the_training_split_alone_lists_counts(root):
    shorter = edited(lambda c: c["categories"].pop())
    assert objects(read(root, shorter, numbered_by=training(root, (1, "cat"), (2, "dog")))) == OBJECTS


def test_a_category_that_the_training_split_lacks_is_refused_where_it_has_objects(root):
    with pytest.raises(InvalidAnnotations, match=r"objects of the categories \['dog'\], which .*training\.json does"):
        read(root, right(), numbered_by=training(root, (1, "cat"), (2, "wolf")))
    cats = edited(lambda c: c.update(annotations=c["annotations"][:1]))
    found = read(root, cats, numbered_by=training(root, (1, "cat"), (2, "wolf")))
    assert objects(found) == OBJECTS[:1]


def test_a_category_without_objects_leaves_its_name_to_another(root):
    """As in exports that list a project of the class's name as category 0."""
    doubled = edited(lambda c: c["categories"].insert(0, dict(id=0, name="dog")))
    found = read(root, doubled)
    assert objects(found) == OBJECTS
    assert found.content["categories"] == right()["categories"]
    assert found.repaired == ["1 categories without objects that have the name of another (left out)"]
    file = root / "training.json"
    file.write_text(json.dumps(doubled))
    assert objects(read(root, right(), numbered_by=file)) == OBJECTS
    assert objects(read(root, doubled, numbered_by=file)) == OBJECTS


def test_a_file_without_categories_has_one_unless_its_annotations_name_several(root):
    content = edited(lambda c: [c.pop("categories"), *(a.update(category_id=4) for a in c["annotations"][1:])])
    content["annotations"][0].pop("category_id")
    assert objects(read(root, content)) == [(file, box, "object") for file, box, _ in OBJECTS]
    with pytest.raises(InvalidAnnotations, match=r"use the unlisted categories \['1', '2'\]"):
        read(root, edited(lambda c: c.pop("categories")))


def test_without_categories_all_are_one(root):
    content = edited(lambda c: [c.pop("categories"), *(a.pop("category_id") for a in c["annotations"])])
    found = read(root, content, agnostic=True)
    assert objects(found) == [(file, box, "object") for file, box, _ in OBJECTS]
