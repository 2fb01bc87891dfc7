import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader

from ccrop.datasets import BoxStore, ImageFolder, MissingData, UnreadableFile, UnreadableImage
from ccrop.datasets.base import spread


def write_images(folder, names):
    """Images whose gray level is ten times their number."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (10 * number,) * 3).save(folder / name)


@pytest.fixture
def folder(tmp_path):
    write_images(tmp_path / "set", [f"{number}.png" for number in range(6)])
    return tmp_path / "set"


def level(sample):
    return sample["image"].getpixel((0, 0))[0]


def draw(sample):
    """What the tests look at, in a form that crosses process borders."""
    return sample["index"], level(sample), sample["rng"].random()


def first(batch):
    return batch[0]


def drawn_by_workers(dataset, keys, num_workers):
    return list(DataLoader(dataset, sampler=keys, num_workers=num_workers, collate_fn=first))


def test_sample_holds_the_image_and_what_is_known_of_it(folder):
    sample = ImageFolder(folder)[3]
    assert set(sample) == {"image", "index", "rng", "clusters"}
    assert (sample["index"], level(sample), sample["image"].mode, sample["image"].size) == (3, 30, "RGB", (6, 4))
    assert (sample["clusters"].shape, sample["clusters"].dtype) == ((0, 5), np.float32)


def test_sample_has_a_label_where_there_are_classes(tmp_path):
    write_images(tmp_path, ["dog/0.png", "cat/1.png"])
    dataset = ImageFolder(tmp_path, labeled=True)
    assert [(sample["label"], level(sample)) for sample in dataset] == [(0, 10), (1, 0)]


def test_sample_has_the_boxes_of_its_image(folder):
    dataset = ImageFolder(folder)
    dataset.boxes = BoxStore(6, 2, dataset.fingerprint())
    boxes = torch.zeros(6, 2, 5)
    boxes[4, 0] = torch.tensor([0.25, 0.5, 0.75, 1, 0.5])
    dataset.boxes.update(boxes, torch.tensor([0, 0, 0, 0, 1, 0]))
    assert dataset[4]["clusters"].tolist() == [[0.25, 0.5, 0.75, 1, 0.5]]
    assert dataset[3]["clusters"].shape == (0, 5)


def test_a_wrong_box_is_named_by_its_file(folder):
    dataset = ImageFolder(folder)
    dataset.boxes = BoxStore(6, 2, dataset.fingerprint())
    boxes = torch.tensor([0.0, 0, 1, 1, 1]).repeat(6, 2, 1)
    dataset.update_boxes(boxes, torch.ones(6, dtype=torch.long))
    boxes[4, 0, 2] = 1.5
    with pytest.raises(
        ValueError, match=rf"^{folder}/4\.png: box 1 of 1, \[.*\], reaches out of the image: the localiz"
    ):
        dataset.update_boxes(boxes, torch.ones(6, dtype=torch.long))
    assert dataset[4]["clusters"].tolist() == [[0, 0, 1, 1, 1]]


def test_a_wrong_box_of_an_image_without_a_file_is_named_by_its_number(folder):
    dataset = ImageFolder(folder)
    dataset.boxes = BoxStore(6, 1, dataset.fingerprint())
    dataset.get_data_info = lambda index: dict(row=index)
    with pytest.raises(ValueError, match=rf"^image 2 of {folder}: 5 boxes, but an image can have 0 to 1"):
        dataset.update_boxes(torch.zeros(6, 1, 5), torch.tensor([0, 0, 5, 0, 0, 0]))


def test_iteration_ends_after_the_last_image(folder):
    dataset = ImageFolder(folder)
    assert [level(sample) for sample in dataset] == [0, 10, 20, 30, 40, 50]
    with pytest.raises(IndexError, match="image 6 of 6"):
        dataset[0, 0, 6]


def test_random_numbers_are_those_of_seed_epoch_and_index(folder):
    dataset = ImageFolder(folder, pipeline=[draw])
    for key in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (7, 3, 5)]:
        assert dataset[key][2] == np.random.default_rng(key).random()
    assert dataset[2] == dataset[0, 0, 2]
    draws = [dataset[key][2] for key in [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (0, 0, 0)]]
    assert len(set(draws)) == 5


def test_random_numbers_do_not_depend_on_the_worker(folder):
    dataset = ImageFolder(folder, pipeline=[draw])
    keys = [(5, 2, index) for index in (3, 0, 5, 1, 4, 2)]
    alone = drawn_by_workers(dataset, keys, 0)
    assert alone == [(index, 10 * index, np.random.default_rng((5, 2, index)).random()) for _, _, index in keys]
    assert drawn_by_workers(dataset, keys, 1) == alone
    assert drawn_by_workers(dataset, keys, 2) == alone


def test_unreadable_image_is_marked_and_the_next_one_takes_its_place(folder):
    for name in ("2.png", "5.png"):
        (folder / name).write_text("a shopping list")
    dataset = ImageFolder(folder, pipeline=[draw])
    assert dataset[1, 0, 2] == (3, 30, np.random.default_rng((1, 0, 2)).random())
    assert dataset.unreadable.tolist() == [False, False, True, False, False, False]
    assert dataset[5][:2] == (0, 0)
    assert dataset.unreadable.tolist() == [False, False, True, False, False, True]


def test_marked_image_is_not_tried_again(folder, monkeypatch):
    dataset = ImageFolder(folder, pipeline=[draw])
    dataset.unreadable[2] = True
    tried = []
    read = dataset.read
    monkeypatch.setattr(dataset, "read", lambda info: tried.append(info["path"]) or read(info))
    assert dataset[2][0] == 3
    assert tried == ["3.png"]


def test_marks_of_a_worker_process_are_seen_outside(folder):
    (folder / "4.png").write_bytes((folder / "4.png").read_bytes()[:40])
    dataset = ImageFolder(folder, pipeline=[draw])
    assert [index for index, _, _ in drawn_by_workers(dataset, range(6), 2)] == [0, 1, 2, 3, 5, 5]
    assert dataset.unreadable.tolist() == [False, False, False, False, True, False]


def test_nothing_readable_is_an_error(folder):
    for file in folder.iterdir():
        file.write_bytes(b"")
    dataset = ImageFolder(folder)
    message = rf"^{folder}: none of its 6 images is readable; the first: {folder}/0\.png: the file is empty$"
    with pytest.raises(UnreadableFile, match=message):
        dataset[0]
    assert dataset.unreadable.all()
    with pytest.raises(UnreadableFile, match=message):
        dataset[0]  # all are marked by now


def as_by_a_worker(function):
    """Raise what a function raises as a DataLoader does if it happens in a worker, whose end would take seconds."""
    try:
        function()
    except Exception:
        ExceptionWrapper(where="in DataLoader worker process 0").reraise()


def test_what_is_unreadable_crosses_a_worker_in_one_line(folder):
    for file in folder.iterdir():
        file.write_bytes(b"")
    dataset = ImageFolder(folder, pipeline=[draw])
    with pytest.raises(UnreadableFile) as caught:
        as_by_a_worker(lambda: dataset[3])
    assert str(caught.value) == (
        f"{folder}: none of its 6 images is readable; the first: {folder}/0.png: the file is empty"
    )
    assert caught.value.path == str(folder)


def test_why_a_file_is_unreadable(folder):
    dataset = ImageFolder(folder)
    assert dataset.why_unreadable(1) == f"{folder}/1.png: unreadable when first tried"
    (folder / "1.png").unlink()
    assert dataset.why_unreadable(1) == f"{folder}/1.png: No such file or directory"


def test_subset_is_evenly_spaced(tmp_path):
    write_images(tmp_path, [f"{kind}/{number}.png" for kind in "ab" for number in range(5)])
    dataset = ImageFolder(tmp_path, labeled=True, subset=4)
    assert [level(sample) for sample in dataset] == [0, 30, 60, 90]
    assert [sample["label"] for sample in dataset] == [0, 0, 1, 1]
    assert len(dataset.unreadable) == 4
    assert [level(sample) for sample in ImageFolder(tmp_path, subset=1)] == [0]
    assert len(ImageFolder(tmp_path, subset=10)) == len(ImageFolder(tmp_path, subset=99)) == 10


def test_subset_without_images_is_refused(folder):
    with pytest.raises(ValueError, match="got 0"):
        ImageFolder(folder, subset=0)


def test_other_pipeline_shares_boxes_and_marks(folder):
    dataset = ImageFolder(folder, pipeline=[draw])
    dataset.boxes = BoxStore(6, 1, dataset.fingerprint())
    other = dataset.with_pipeline([level])
    assert other[3] == 30
    assert dataset[3][0] == 3
    dataset.boxes.update(torch.ones(6, 1, 5), torch.ones(6))
    assert other.boxes[5].tolist() == [[1, 1, 1, 1, 1]]
    (folder / "0.png").write_text("a shopping list")
    assert other[0] == 10
    assert dataset.unreadable.tolist() == [True] + 5 * [False]
    assert other.fingerprint() == dataset.fingerprint()


class Add:
    def __init__(self, term):
        self.term = term

    def __call__(self, sample):
        return level(sample) + (self.term if isinstance(self.term, int) else self.term(sample))


def test_steps_and_the_steps_in_their_arguments_are_built(folder):
    assert ImageFolder(folder, pipeline=[dict(type=Add, term=dict(type=Add, term=7))])[2] == 47


def test_fingerprint_follows_the_names_and_not_the_place(folder, tmp_path):
    before = ImageFolder(folder).fingerprint()
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert ImageFolder(moved).fingerprint() == before
    (moved / "3.png").rename(moved / "3a.png")
    renamed = ImageFolder(moved).fingerprint()
    (moved / "3a.png").unlink()
    removed = ImageFolder(moved).fingerprint()
    assert len({before, renamed, removed}) == 3
    assert ImageFolder(folder, subset=3).fingerprint() != before


def test_no_image_is_an_error_that_names_the_kinds_looked_for(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(MissingData, match=r"no image found in .*\.jpg, \.jpeg, \.png") as caught:
        ImageFolder(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_spread():
    assert spread(101, 3) == [0, 50, 100]
    assert spread(2, 12) == [0, 1]
    assert spread(1, 12) == [0]


def test_channels_are_a_setting_of_the_data(folder):
    gray = ImageFolder(folder, channels=1)[2]["image"]
    assert (gray.mode, gray.getpixel((0, 0))) == ("L", 20)
    for number in range(3):
        np.save(folder / f"9{number}.npy", np.full((4, 6, 5), number, np.uint8))
    assert len(ImageFolder(folder)) == 6  # an array beside RGB images is something else
    with pytest.raises(UnreadableImage, match=r"0\.png: it has 3 bands \(RGB\), but 5 are expected"):
        ImageFolder(folder, channels=5)
    for file in folder.glob("*.png"):
        file.unlink()
    images = [np.array(sample["image"]) for sample in ImageFolder(folder, channels=5)]
    assert [(image.shape, image.max()) for image in images] == [((4, 6, 5), number) for number in range(3)]
    empty = folder.parent / "empty"
    empty.mkdir()
    with pytest.raises(MissingData, match=r"\.pgm, .*, \.npy\)"):
        ImageFolder(empty, channels=5)
    with pytest.raises(ValueError, match="channels and white must be positive numbers, got 0 and 65535"):
        ImageFolder(folder, channels=0)
