"""Images of a detector that cannot be read."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image
from torch.utils.data import DataLoader

from ccrop.hooks.unreadable import TooManyUnreadable
from ccrop.projects.detection_transfer.images import ReadImage
from ccrop.projects.detection_transfer.unreadable import UnreadableExamplesHook, leave_out_unreadable

TOTAL = 120


@pytest.fixture
def images(tmp_path: Path) -> Config:
    """120 images of 16 px with an object each, each of a gray level of its own, as both splits of a config."""
    for number in range(TOTAL):
        Image.fromarray(np.full((16, 16, 3), number, np.uint8)).save(tmp_path / f"{number:03d}.png")
    listed = [dict(id=n + 1, file_name=f"{n:03d}.png", width=16, height=16) for n in range(TOTAL)]
    objects = [
        dict(id=n + 1, image_id=n + 1, category_id=1, bbox=[2, 2, 9, 9], area=81, iscrowd=0) for n in range(TOTAL)
    ]
    content = dict(images=listed, annotations=objects, categories=[dict(id=1, name="car")])
    (tmp_path / "a.json").write_text(json.dumps(content))
    dataset = dict(
        type="CocoDataset",
        data_root=str(tmp_path),
        ann_file="a.json",
        data_prefix=dict(img=""),
        metainfo=dict(classes=("car",)),
    )
    return Config(dict(test_dataloader=dict(dataset=dataset | dict(test_mode=True)), train=dataset))


def damage(config: Config, *numbers: int) -> None:
    """Cut files off behind their header."""
    for number in numbers:
        file = Path(config.train.data_root, f"{number:03d}.png")
        file.write_bytes(file.read_bytes()[:50])


def trained_on(config: Config) -> SimpleNamespace:
    """A runner, as far as the hook looks at it, whose data set gives the level of an image."""
    dataset = DATASETS.build(dict(config.train, pipeline=[ReadImage(), lambda results: int(results["img"][0, 0, 0])]))
    logger = MMLogger.get_instance("readable")
    hub = SimpleNamespace(update_scalar=lambda *_: None)
    return SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset), logger=logger, message_hub=hub)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_another_image_takes_the_place_and_the_file_is_named_once(images: Config, num_workers: int, capfd):
    damage(images, 7)
    runner, hook = trained_on(images), UnreadableExamplesHook(interval=1)
    hook.before_train(runner)
    loader = DataLoader(runner.train_dataloader.dataset, batch_size=None, num_workers=num_workers)
    levels = [int(level) for level in loader]
    assert [n for n, level in enumerate(levels) if level != n] == [7]
    assert levels[7] in set(range(TOTAL)) - {7}
    for step in range(2):
        hook.after_train_iter(SimpleNamespace(**vars(runner), iter=step), step)
    output = capfd.readouterr()
    assert (output.out + output.err).count(f"skipped {images.train.data_root}/007.png: ") == 1


def test_more_than_a_hundredth_stops_the_training(images: Config):
    damage(images, 7, 11)
    runner, hook = trained_on(images), UnreadableExamplesHook()
    hook.before_train(runner)
    for index in range(TOTAL):
        runner.train_dataloader.dataset[index]
    with pytest.raises(TooManyUnreadable, match=r"2 of 120 images are unreadable, more than 1%") as raised:
        hook.after_train_epoch(runner)
    assert [line[-7:] for line in str(raised.value).splitlines()[1:]] == ["007.png", "011.png"]


def test_if_no_image_is_readable_one_and_its_reason_are_named(images: Config):
    damage(images, *range(TOTAL))
    runner = trained_on(images)
    UnreadableExamplesHook().before_train(runner)
    with pytest.raises(ValueError, match=r"none of 120 images is readable, such as .*\d\d\d\.png: damaged"):
        list(map(runner.train_dataloader.dataset.__getitem__, range(TOTAL)))


def test_without_marks_a_file_is_an_error(images: Config):
    damage(images, 7)
    dataset = trained_on(images).train_dataloader.dataset
    with pytest.raises(ValueError, match=r"007\.png: damaged"):
        dataset[7]


@pytest.mark.parametrize("indices", [None, [3, 7, *range(8, 118)]])
def test_what_cannot_be_read_is_not_tested_on(images: Config, indices: list[int] | None):
    damage(images, 7)
    images.test_dataloader.dataset.indices = indices
    leave_out_unreadable(images)
    left = [n for n in indices or range(TOTAL) if n != 7]
    assert images.test_dataloader.dataset.indices == left
    dataset = DATASETS.build(dict(images.test_dataloader.dataset, pipeline=[]))
    assert [Path(dataset.get_data_info(n)["img_path"]).stem for n in range(len(dataset))] == [f"{n:03d}" for n in left]
    assert len(images.notes) == 1
    assert "007.png: damaged" in images.notes[0]


def test_too_many_that_cannot_be_tested_on_stop_the_run_before_it_trains(images: Config):
    damage(images, 7, 11)
    with pytest.raises(TooManyUnreadable, match=r"2 of 120 images to test on are unreadable, more than 1%") as raised:
        leave_out_unreadable(images)
    assert "011.png: damaged" in str(raised.value)


def test_nothing_changes_where_all_can_be_read(images: Config):
    leave_out_unreadable(images)
    assert "indices" not in images.test_dataloader.dataset
    assert "notes" not in images
