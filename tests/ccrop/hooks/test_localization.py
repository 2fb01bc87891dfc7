"""When boxes are refreshed, and which image gets which."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ccrop.datasets import BoxStore, ImageFolder
from ccrop.hooks import LocalizationHook
from ccrop.hooks.localization import describe, locate
from ccrop.localization import FixedBox, SingleObject


def due(total: int, **schedule) -> list[int]:
    hook = LocalizationHook(dict(type=FixedBox), **schedule)
    return [step for step in range(total) if hook.is_due(step, total)]


def test_shares_of_the_run():
    assert due(500) == [100, 200, 300, 400]
    assert due(15) == [3, 6, 9, 12]
    assert due(2) == [1]  # a warm-up lasts at least one step


def test_steps():
    assert due(10, warmup=0, interval=4) == [0, 4, 8]
    assert due(10, warmup=7, interval=1) == [7, 8, 9]
    assert due(10, warmup=0, interval=0.5) == [0, 5]


@pytest.mark.parametrize("schedule", [dict(warmup=-1), dict(interval=0)])
def test_impossible_schedules(schedule: dict):
    with pytest.raises(ValueError, match="warmup must not be negative"):
        LocalizationHook(dict(type=FixedBox), **schedule)


class Bright(nn.Module):
    """A backbone that responds to brightness, at stride 8."""

    def data_preprocessor(self, data: dict) -> dict:
        return dict(images=data["images"].permute(0, 3, 1, 2).float())

    def extract_feat(self, images: Tensor) -> tuple[Tensor, ...]:
        return (nn.functional.avg_pool2d(images, 8),)


@pytest.fixture
def spots(tmp_path: Path) -> ImageFolder:
    """Black images with a white quarter in the corner of their number, and between them one that is broken."""
    for number, corner in enumerate([(0, 0), (32, 0), None, (0, 32), (32, 32)]):
        file = tmp_path / f"{number}.png"
        if corner is None:
            file.write_bytes(b"not an image")
            continue
        image = Image.new("RGB", (64, 64))
        image.paste("white", (*corner, corner[0] + 32, corner[1] + 32))
        image.save(file)
    return ImageFolder(tmp_path)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_every_image_gets_its_own_box_and_an_unreadable_one_none(spots: ImageFolder, batch_size: int):
    boxes, counts = locate(Bright(), spots, SingleObject(0.5), (64, 64), batch_size)
    assert counts.tolist() == [1, 1, 0, 1, 1]
    left, top = torch.tensor([0, 0.5, 0, 0, 0.5]), torch.tensor([0, 0, 0, 0.5, 0.5])
    readable = counts > 0
    assert (boxes[readable, 0, 0] - left[readable]).abs().max() < 0.1
    assert (boxes[readable, 0, 1] - top[readable]).abs().max() < 0.1
    assert (boxes[readable, 0, 2:4] - boxes[readable, 0, :2]).sub(0.5).abs().max() < 0.1
    assert boxes[2].eq(0).all()
    assert spots.unreadable.tolist() == [False, False, True, False, False]


def test_a_fixed_box_needs_no_image(tmp_path: Path):
    (tmp_path / "0.png").write_bytes(b"never opened")
    dataset = ImageFolder(tmp_path)
    boxes, counts = locate(Bright(), dataset, FixedBox(), (64, 64))
    assert boxes[0, 0].tolist() == [0.25, 0.25, 0.75, 0.75, 1]
    assert counts.tolist() == [1]
    assert not dataset.unreadable.any()


def test_the_report_is_of_the_boxes_in_force():
    store = BoxStore(3, 2, "")
    boxes = torch.zeros(3, 2, 5)
    boxes[0, 0] = torch.tensor([0, 0, 1, 1, 1.0])
    boxes[0, 1] = torch.tensor([0, 0, 0.5, 0.5, 1])
    boxes[2, 0] = torch.tensor([0.5, 0, 1, 0.5, 1])
    store.update(boxes, torch.tensor([2, 0, 1]))
    assert describe(store, (224, 224)) == pytest.approx(dict(clusters=1, box_area=0.5, whole_image=1 / 3))

    boxes[0, 0] = torch.tensor([0, 0, 31 / 32, 31 / 32, 1])  # the last pixel of 32, as SingleObject counts
    store.update(boxes, torch.tensor([2, 0, 1]))
    assert describe(store, (32, 32))["whole_image"] == pytest.approx(1 / 3)
    assert describe(store, (224, 224))["whole_image"] == 0
