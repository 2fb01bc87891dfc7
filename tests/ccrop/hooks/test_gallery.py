"""What is used for the pictures, and where they go."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image
from torch import Tensor, nn

from ccrop.datasets import BoxStore, CocoImages, ImageFolder
from ccrop.hooks import GalleryHook, LocalizationHook
from ccrop.inference.contact_sheet import PANEL_HEIGHT
from ccrop.inference.panels import annotated_objects, box_areas, image_heatmap, look
from ccrop.localization import FixedBox, MultiObject, SingleObject
from ccrop.models import ViewPreprocessor
from ccrop.views import CropViews, RandomCrop


class Bright(nn.Module):
    """A backbone that responds to brightness, at stride 8; padding is brighter than black."""

    def __init__(self) -> None:
        super().__init__()
        self.data_preprocessor = ViewPreprocessor()
        self.unused = nn.Parameter(torch.zeros(1))

    def extract_feat(self, images: Tensor) -> tuple[Tensor, ...]:
        return (nn.functional.avg_pool2d(images, 8),)


CROP = dict(type=CropViews, crop=RandomCrop(), size=32)


def scene(folder: Path, size: tuple[int, int], spot: tuple[int, int, int, int], step=CROP) -> ImageFolder:
    """One black image of ``size`` (width, height) with a white rectangle."""
    image = Image.new("RGB", size)
    image.paste("white", spot)
    image.save(folder / "0.png")
    return ImageFolder(folder, pipeline=[step])


def warmth(panel: Image.Image) -> np.ndarray:
    """Red minus blue, high where turbo is hot; ``(height, width)``."""
    pixels = np.asarray(panel).astype(int)
    return pixels[..., 0] - pixels[..., 2]


@pytest.mark.parametrize("localizer", [SingleObject(), MultiObject(), MultiObject(upsample=2), FixedBox()])
@pytest.mark.parametrize("keep_ratio", [True, False])
@pytest.mark.parametrize(
    ("size", "spot"),
    [((256, 128), (160, 32, 224, 80)), ((128, 256), (32, 160, 80, 224)), ((300, 190), (200, 130, 250, 180))],
)
def test_the_heatmap_lies_on_the_object(tmp_path: Path, size, spot, keep_ratio, localizer):
    dataset = scene(tmp_path, size, spot)
    ((marked, heat, *views),) = look(Bright().eval(), dataset, localizer, (128, 128), [0], keep_ratio=keep_ratio)
    assert heat.size == marked.size
    assert heat.width / heat.height == pytest.approx(size[0] / size[1], rel=0.01)
    assert len(views) == 2
    rows, columns = np.nonzero(warmth(heat) > 0.6 * warmth(heat).max())
    scale = heat.width / size[0]
    cell = 8 / 128 * max(size) * scale
    expected = np.array(spot) * scale
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(found, expected, atol=1.2 * cell)


def test_a_heatmap_is_cut_to_the_image_after_upsampling():
    heatmap = torch.zeros(1, 4, 4)  # as padding is
    heatmap[0, :2] = torch.tensor([1.0, 0.5, 0.5, 0.0])
    cut = image_heatmap(heatmap, (40, 80), torch.tensor([[0.0, 0, 1, 0.5]]))
    assert cut.shape == (1, 20, 80)
    torch.testing.assert_close(cut[0], cut[0, :1].expand(20, 80))  # nothing leaks from the padding
    assert cut[0, 0, [0, 39, 79]].tolist() == pytest.approx([1, 0.5, 0])
    assert image_heatmap(heatmap, (40, 80), None).shape == (1, 40, 80)
    assert image_heatmap(heatmap, (40, 80), torch.tensor([[0.25, 0, 1, 0.3]])).shape == (1, 12, 60)


class OtherPairs:
    """A step that gives more than views and rectangles, as pairs by region do."""

    def __call__(self, sample: dict) -> dict:
        views = [torch.full((24, 24, 3), level, dtype=torch.uint8) for level in (0, 255)]
        return dict(
            views=views,
            rectangles=torch.tensor([[0, 0, 32, 64], [32, 0, 64, 64]]),
            index=sample["index"],
            transforms=torch.zeros(2, 3, 3),
            boxes=torch.zeros(2, 4, 4),
            counts=torch.tensor(4),
        )


def test_views_and_rectangles_of_any_pipeline_will_do(tmp_path: Path):
    dataset = scene(tmp_path, (64, 64), (0, 0, 8, 8), OtherPairs())
    model = Bright().eval()
    model.data_preprocessor = ViewPreprocessor(augment="cpu")
    ((marked, _, dark, light),) = look(model, dataset, SingleObject(), (64, 64), [0])
    assert [np.asarray(view)[50, 50].tolist() for view in (dark, light)] == [[0] * 3, [255] * 3]
    assert np.asarray(marked)[PANEL_HEIGHT // 2, PANEL_HEIGHT // 2].tolist() == [255, 60, 220]  # the second view starts


def test_pictures_repeat_and_follow_the_epoch(tmp_path: Path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    image.save(tmp_path / "0.png")
    dataset = ImageFolder(tmp_path, pipeline=[CROP])
    state = torch.get_rng_state()
    pictures = [
        look(Bright().eval(), dataset, SingleObject(), (64, 64), [0], draw)[0] for draw in ((0, 1), (0, 1), (0, 2))
    ]
    first, again, later = ([panel.tobytes() for panel in panels] for panels in pictures)
    assert first == again
    assert first[1] == later[1]
    assert first[2] != later[2]
    assert torch.equal(torch.get_rng_state(), state)


def test_unreadable_images_are_left_out(tmp_path: Path):
    dataset = scene(tmp_path, (64, 64), (0, 0, 8, 8))
    (tmp_path / "1.png").write_bytes(b"not an image")
    dataset = ImageFolder(tmp_path, pipeline=[CROP])
    assert len(look(Bright().eval(), dataset, SingleObject(), (64, 64), [0, 1])) == 1


def test_annotated_objects_are_those_of_the_images_that_are_looked_at(tmp_path: Path):
    (tmp_path / "train").mkdir()
    for number in range(3):
        Image.new("RGB", (100, 50)).save(tmp_path / f"train/{number}.png")
    assert annotated_objects(CocoImages(tmp_path), [0]) is None
    assert annotated_objects(ImageFolder(tmp_path / "train"), [0]) is None
    images = [dict(id=number, file_name=f"{number}.png", width=100, height=50) for number in (1, 2)]
    boxes = [dict(id=1, image_id=2, category_id=1, iscrowd=0, bbox=[10, 10, 20, 30], area=600)]
    content = dict(images=images, annotations=boxes, categories=[dict(id=1, name="cup")])
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_train.json").write_text(json.dumps(content))
    found = annotated_objects(CocoImages(tmp_path), [0, 2])  # the first is in no annotation
    assert set(found) == {2}
    np.testing.assert_allclose(found[2], [[0.1, 0.2, 0.3, 0.8]])


def test_areas_are_of_the_boxes_in_use():
    store = BoxStore(3, 2, "")
    boxes = torch.tensor([0.0, 0, 0.5, 0.25, 1]).repeat(3, 2, 1)
    boxes[2] = torch.tensor([0.5, 0.5, 1, 1, 1])
    store.update(boxes, torch.tensor([2, 0, 1]))
    assert box_areas(store).tolist() == [0.125, 0.125, 0.25]


class Backends(SimpleNamespace):
    """Remembers what a visualizer is given."""

    def __init__(self) -> None:
        super().__init__(images={}, scalars={})

    def add_image(self, name, image, step):
        self.images[name, step] = image

    def add_scalars(self, scalars, step):
        self.scalars |= {(name, step): value for name, value in scalars.items()}


def runner(folder: Path, dataset: ImageFolder, localization: LocalizationHook) -> SimpleNamespace:
    return SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=dataset),
        hooks=[localization],
        model=Bright(),
        optim_wrapper=None,
        seed=0,
        epoch=3,
        iter=70,
        max_epochs=10,
        cfg=SimpleNamespace(experiment="some run"),
        work_dir=str(folder / "work"),
        visualizer=Backends(),
        logger=MMLogger.get_instance("gallery"),
    )


def test_after_a_localization_pictures_and_quantiles_of_areas_go_to_file_and_backends(tmp_path: Path):
    for name in ("images", "work"):
        (tmp_path / name).mkdir()
    for number in range(11):
        Image.new("RGB", (64, 32), (20 * number,) * 3).save(tmp_path / "images" / f"{number:02d}.png")
    dataset = ImageFolder(tmp_path / "images", pipeline=[CROP])
    localization = LocalizationHook(dict(type=MultiObject, max_boxes=1), image_size=(64, 64), keep_ratio=True)
    run = runner(tmp_path, dataset, localization)
    localization.before_run(run)
    sides = torch.arange(1, 12) / 16
    boxes = torch.stack([0 * sides, 0 * sides, sides, sides, 0 * sides + 1], dim=-1)[:, None]
    dataset.update_boxes(boxes, torch.ones(11, dtype=torch.long))
    GalleryHook(num_images=3, columns=1).after_localization(run)
    (file,) = (tmp_path / "work/gallery").iterdir()
    assert file.name == "epoch_0003_iter_000070.png"
    with Image.open(file) as picture:
        assert picture.height > 3 * PANEL_HEIGHT
        shown = run.visualizer.images["gallery", 3]
        assert shown.shape == (math.ceil(picture.height / 2), math.ceil(picture.width / 2), 3)
        means = np.asarray(picture, dtype=float)[: picture.height // 2 * 2, : picture.width // 2 * 2]
        means = means.reshape(picture.height // 2, 2, picture.width // 2, 2, 3).mean(axis=(1, 3))
        assert np.abs(shown[: len(means), : means.shape[1]] - means).max() <= 0.5
    areas = {name: (side / 16) ** 2 for name, side in (("10", 2), ("50", 6), ("90", 10))}
    assert run.visualizer.scalars == {(f"boxes/area_{name}", 3): pytest.approx(area) for name, area in areas.items()}


@pytest.mark.parametrize("keep_ratio", [True, False])
def test_the_hook_looks_at_images_as_the_localization_does(tmp_path: Path, keep_ratio: bool, monkeypatch):
    (tmp_path / "work").mkdir()
    dataset = scene(tmp_path, (128, 64), (64, 0, 128, 64))
    localization = LocalizationHook(dict(type=MultiObject), image_size=(64, 64), keep_ratio=keep_ratio)
    run = runner(tmp_path, dataset, localization)
    localization.before_run(run)
    seen = []
    monkeypatch.setattr(run.model, "extract_feat", lambda images: seen.append(images) or (images,))
    GalleryHook().after_localization(run)
    padded = (seen[0][0, :, 32:].abs() < 0.02).all()
    assert padded == keep_ratio


def test_a_localization_that_found_nothing_has_pictures_and_no_quantiles(tmp_path: Path):
    (tmp_path / "work").mkdir()
    dataset = scene(tmp_path, (64, 64), (0, 0, 8, 8))
    localization = LocalizationHook(dict(type=MultiObject), image_size=(64, 64))
    run = runner(tmp_path, dataset, localization)
    localization.before_run(run)
    GalleryHook().after_localization(run)
    assert len(list((tmp_path / "work/gallery").iterdir())) == 1
    assert run.visualizer.scalars == {}
