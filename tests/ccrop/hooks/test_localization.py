"""When boxes are refreshed, and which image gets which."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from PIL import Image
from torch import Tensor, nn

from ccrop.backbones import ResNet
from ccrop.datasets import BoxStore, ImageFolder
from ccrop.hooks import LocalizationHook
from ccrop.inference.locate import describe, locate
from ccrop.localization import FixedBox, MultiObject, SingleObject
from ccrop.models import SimSiam, ViewPreprocessor


def due(total: int, **schedule) -> list[int]:
    return list(LocalizationHook(dict(type=FixedBox), **schedule).schedule(total))


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(warmup=20.0), r"warmup as a float is a fraction of the run, at most 1\.0; got 20\.0"),
        (dict(interval=1.5), r"interval as a float is a fraction"),
        (dict(warmup=float("nan")), "warmup must not be negative"),
        (dict(image_size=224), r"image_size must be \(height, width\) in whole pixels, got 224"),
        (dict(image_size=(224, 0)), r"image_size must be \(height, width\)"),
        (dict(image_size=(0.5, 0.5)), r"image_size must be \(height, width\)"),
        (dict(image_size=(3, 224, 224)), r"image_size must be \(height, width\)"),
        (dict(batch_size=0), "batch_size must be positive"),
        (dict(num_workers=-1), "num_workers not negative"),
        (dict(localizer=dict(type=MultiObject, max_boxes=0)), "max_boxes must be a whole number of at least 1"),
    ],
)
def test_impossible_settings(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        LocalizationHook(**(dict(localizer=dict(type=FixedBox)) | settings))


class Bright(nn.Module):
    """A backbone that responds to brightness, at some strides."""

    def __init__(self, *strides: int) -> None:
        super().__init__()
        self.strides = strides or (8,)
        self.unused = nn.Parameter(torch.zeros(1))

    @property
    def backbone(self) -> "Bright":
        return self

    @contextmanager
    def first_levels(self, number: int) -> Iterator[None]:
        strides, self.strides = self.strides, self.strides[:number]
        yield
        self.strides = strides

    def data_preprocessor(self, data: dict) -> dict:
        return dict(images=data["images"].permute(0, 3, 1, 2).float())

    data_preprocessor.channels = 3

    def extract_feat(self, images: Tensor) -> tuple[Tensor, ...]:
        assert not self.training
        return tuple(nn.functional.avg_pool2d(images, stride) for stride in self.strides)


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
    boxes, counts = locate(Bright().eval(), spots, SingleObject(0.5), (64, 64), batch_size)
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
    boxes, counts = locate(Bright().eval(), dataset, FixedBox(), (64, 64))
    assert boxes[0, 0].tolist() == [0.25, 0.25, 0.75, 0.75, 1]
    assert counts.tolist() == [1]
    assert not dataset.unreadable.any()


def scene(file: Path, size: tuple[int, int], spots: list[tuple[int, int, int, int]]) -> ImageFolder:
    """One black image of ``size`` (width, height) with white rectangles."""
    image = Image.new("RGB", size)
    for spot in spots:
        image.paste("white", spot)
    image.save(file)
    return ImageFolder(file.parent)


@pytest.mark.parametrize("localizer", [SingleObject(0.5), MultiObject()])
@pytest.mark.parametrize(
    ("size", "spot"),
    [
        ((256, 128), (160, 32, 224, 80)),  # twice as wide as tall
        ((128, 256), (32, 160, 80, 224)),
        ((256, 128), (0, 64, 48, 128)),  # beside the padding
        ((190, 130), (100, 20, 150, 70)),  # its edges are no edges of cells
        ((600, 97), (480, 20, 560, 70)),
    ],
)
def test_a_box_of_a_padded_image_lies_on_its_object(tmp_path: Path, size, spot, localizer):
    dataset = scene(tmp_path / "0.png", size, [spot])
    boxes, counts = locate(Bright(8).eval(), dataset, localizer, (128, 128), keep_ratio=True)
    assert counts.tolist() == [1]
    truth = torch.tensor(spot) / torch.tensor([*size, *size])
    cell = 8 / 128 * max(size) / torch.tensor([*size, *size])  # in fractions of the image
    assert ((boxes[0, 0, :4] - truth).abs() <= cell + 1e-6).all()


@pytest.mark.parametrize("localizer", [SingleObject(0.1), MultiObject()])
def test_padding_is_no_box_however_black_the_image(tmp_path: Path, localizer):
    """The padding's gray is the brightest there is."""
    image = Image.new("RGB", (128, 64))
    image.paste((40, 40, 40), (64, 0, 96, 32))
    image.save(tmp_path / "0.png")
    boxes, counts = locate(Bright(8).eval(), ImageFolder(tmp_path), localizer, (128, 128), keep_ratio=True)
    assert counts.tolist() == [1]
    assert (boxes[0, 0, :4] - torch.tensor([0.5, 0, 0.75, 0.5])).abs().max() <= 1 / 8
    assert boxes[0, 0, 4] == 1


@pytest.mark.parametrize("localizer", [MultiObject(), MultiObject(levels=(0, 1), upsample=2)])
def test_padding_changes_no_box(tmp_path: Path, localizer):
    dataset = scene(tmp_path / "0.png", (256, 128), [(160, 32, 224, 80), (0, 64, 48, 128), (16, 0, 32, 16)])
    model = Bright(8, 16).eval()
    expected = locate(model, dataset, localizer, (64, 128))
    assert expected[1].tolist() == [3]
    for size in ((128, 128), (64, 256), (64, 128)):
        boxes, counts = locate(model, dataset, localizer, size, keep_ratio=True)
        torch.testing.assert_close(boxes, expected[0], atol=1e-6, rtol=0)
        assert torch.equal(counts, expected[1])
    squashed, _ = locate(model, dataset, localizer, (128, 128))
    assert not torch.allclose(squashed, expected[0], atol=1e-3)


def test_boxes_of_a_fine_level_a_coarse_one_and_both(tmp_path: Path):
    dataset = scene(tmp_path / "0.png", (128, 128), [(68, 36, 76, 44)])
    model = Bright(4, 32).eval()
    for levels, expected in ((0, [68, 36, 76, 44]), (1, [64, 32, 96, 64]), ((0, 1), [68, 36, 76, 44])):
        boxes, counts = locate(model, dataset, MultiObject(levels=levels), (128, 128))
        assert counts.tolist() == [1], levels
        assert (boxes[0, 0, :4] * 128).tolist() == pytest.approx(expected), levels


class Told:
    """A localizer that gives what it was told."""

    uses_features = False

    def __init__(self, boxes: list, counts: list) -> None:
        self.boxes, self.counts = torch.tensor(boxes), torch.tensor(counts)
        self.max_boxes = self.boxes.shape[1]

    def __call__(self, features, image_size, valid=None):
        return self.boxes, self.counts


class Run(SimpleNamespace):
    """As much of MMEngine's runner as localization needs."""

    def __init__(self, dataset: ImageFolder, model: nn.Module, name: str) -> None:
        super().__init__(
            train_dataloader=SimpleNamespace(dataset=dataset),
            model=model,
            optim_wrapper=None,
            logger=logging.getLogger(name),
            message_hub=MessageHub.get_instance(name),
            epoch=0,
            max_epochs=10,
            iter=0,
            max_iters=100,
            called=[],
        )

    def call_hook(self, name: str) -> None:
        self.called.append(name)

    def scalars(self) -> dict[str, float]:
        """The epoch's scalars, which are forgotten."""
        found = {name.removeprefix("epoch/"): each.current() for name, each in self.message_hub.log_scalars.items()}
        self.message_hub.log_scalars.clear()
        return found


@pytest.fixture
def run(spots: ImageFolder, tmp_path: Path) -> Run:
    (tmp_path / "2.png").unlink()
    return Run(ImageFolder(tmp_path), Bright(), f"localization-{tmp_path}")


def told(boxes: list, counts: list, **settings) -> LocalizationHook:
    return LocalizationHook(dict(type=Told, boxes=boxes, counts=counts), num_workers=0, **settings)


def test_the_hook_localizes_with_a_real_backbone_of_several_levels(spots: ImageFolder, run: Run):
    torch.manual_seed(0)
    backbone = dict(type=ResNet, depth=18, base_channels=8, stem_channels=8, out_indices=(1, 2, 3))
    run.model = SimSiam(backbone, 64, 16, data_preprocessor=dict(type=ViewPreprocessor))
    localizer = dict(type=MultiObject, levels=(0, 1, 2), max_boxes=5)
    hook = LocalizationHook(localizer, image_size=(96, 160), num_workers=0, batch_size=3, keep_ratio=True)
    hook.before_run(run)
    hook.before_train(run)
    hook.localize(run)
    assert run.called == ["after_localization"]
    store = run.train_dataloader.dataset.boxes
    assert (store.counts >= 1).all()
    assert len(store.boxes.unique(dim=0)) == 4

    image = run.train_dataloader.dataset.read(dict(path="3.png")).resize((96, 96), Image.Resampling.BILINEAR)
    canvas = Image.new("RGB", (160, 96), (124, 116, 104))
    canvas.paste(image)
    pixels = torch.frombuffer(bytearray(canvas.tobytes()), dtype=torch.uint8).view(1, 96, 160, 3)
    run.model.eval()
    with torch.no_grad():
        features = run.model.extract_feat(run.model.data_preprocessor(dict(images=pixels))["images"])
        assert [tuple(level.shape[1:]) for level in features] == [(16, 12, 20), (32, 6, 10), (64, 3, 5)]
        valid = torch.tensor([[0, 0, 0.6, 1]])
        boxes, counts = MultiObject(levels=(0, 1, 2), max_boxes=5)(features, (96, 160), valid)
    assert counts.tolist() == [store.counts[2].item()]
    torch.testing.assert_close(store.boxes[2], boxes[0], atol=1 / 1024, rtol=0)


def test_a_localizer_that_does_not_suit_the_backbone_fails_before_the_warm_up(run: Run):
    run.model.train()
    hook = LocalizationHook(dict(type=MultiObject, levels=(0, 1)), num_workers=0)
    with pytest.raises(ValueError, match="no level 1 among the backbone's 1"):
        hook.before_train(run)
    LocalizationHook(dict(type=MultiObject), num_workers=0).before_train(run)
    assert run.model.training


def test_a_run_that_is_too_short_says_so(run: Run, caplog):
    for max_epochs, message in ((2, "No localization in a run of 2 epochs with warmup=2"), (3, "")):
        caplog.clear()
        run.max_epochs = max_epochs
        told([[[0.0, 0, 1, 1, 1]]] * 4, [1] * 4, warmup=2, interval=1).before_train(run)
        assert caplog.text.count("No localization") == bool(message)
        assert message in caplog.text


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([0.5, 0.5, 0.4, 0.6, 1], "is turned around"),
        ([0.5, 0.5, 0.5, 0.6, 1], "has no area"),
        ([-0.5, 0.5, 0.7, 0.6, 1], "reaches out of the image"),
        ([float("nan"), 0.5, 0.7, 0.6, 1], "is not finite"),
    ],
)
def test_a_wrong_box_is_an_error_that_names_the_file(run: Run, tmp_path: Path, box: list, fault: str):
    boxes = [[[0.0, 0, 1, 1, 1]] * 2 for _ in range(4)]
    boxes[2][1] = box
    hook = told(boxes, [2] * 4)
    hook.before_run(run)
    with pytest.raises(ValueError, match=rf"^{tmp_path}/3\.png: box 2 of 2, .* {fault}: the localizer must return"):
        hook.localize(run)
    assert run.called == []


BOXES = [
    [[0.0, 0, 1, 1, 1], [0, 0, 0.5, 0.5, 1]],
    [[0.0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
    [[0.5, 0, 1, 0.5, 1], [0, 0, 0, 0, 0]],
    [[0.0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
]


@pytest.mark.parametrize("by_epoch", [True, False])
def test_an_epoch_line_has_the_boxes_of_a_localized_run_only(run: Run, by_epoch: bool):
    warmup = 2 if by_epoch else 20
    hook = told(BOXES, [2, 0, 1, 0], warmup=warmup, interval=warmup, by_epoch=by_epoch)
    hook.before_run(run)
    lines = []
    for _ in range(4):
        hook.before_train_epoch(run)
        for iteration in range(10):
            hook.before_train_iter(run, iteration)
            run.iter += 1
        hook.after_train_epoch(run)
        run.epoch += 1
        lines.append(run.scalars())
    expected = dict(clusters=0.75, no_box=0.5, box_area=0.5, whole_image=1 / 3)
    assert lines[:2] == [{}, {}]
    assert [pytest.approx(line) for line in lines[2:]] == [expected] * 2
    assert run.called == ["after_localization"]


def test_images_without_any_box_are_counted_and_nothing_is_nan(run: Run, caplog):
    caplog.set_level(logging.INFO)
    hook = told(torch.zeros(4, 8, 5).tolist(), [0] * 4, warmup=1, interval=9)
    hook.before_run(run)
    run.epoch = 1
    hook.before_train_epoch(run)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().endswith(
        "0.00 boxes per image, 100.0% of the images have none and get plain random crops"
    )
    hook.after_train_epoch(run)
    assert run.scalars() == dict(clusters=0, no_box=1)


def test_a_refresh_is_logged_with_what_it_found(run: Run, caplog):
    caplog.set_level(logging.INFO)
    hook = told(BOXES, [2, 0, 1, 0])
    hook.before_run(run)
    hook.localize(run)
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage().startswith("Localized 4 images in ")
    assert record.getMessage().endswith(
        " s: 0.75 boxes per image, 50.0% of the images have none and get plain random crops; "
        "mean area 0.500 of the image, 33.3% of the boxes are whole images"
    )


@pytest.mark.parametrize(("whole", "warned"), [(9, False), (10, True)])
def test_boxes_that_bound_nothing_are_a_warning(run: Run, caplog, whole: int, warned: bool):
    boxes = [[[0.0, 0, 1, 1, 1]]] * whole + [[[0, 0, 0.5, 0.5, 1]]]
    hook = told(boxes, [1] * len(boxes))
    store = BoxStore(len(boxes), 1, "")
    store.update(*hook.localizer(None, None))
    hook.report(run, store, 1.0)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [each.startswith("90.9% of the boxes are whole images, so they bound nothing") for each in warnings] == (
        [True] * warned
    )


def test_restored_boxes_are_in_the_line_whatever_the_schedule(run: Run):
    hook = told(BOXES, [2, 0, 1, 0], warmup=9, interval=1)
    hook.before_run(run)
    run.train_dataloader.dataset.update_boxes(*hook.localizer(None, None))
    hook.after_train_epoch(run)
    assert run.scalars()["no_box"] == 0.5


def test_the_report_is_of_the_boxes_in_force():
    store = BoxStore(3, 2, "")
    boxes = torch.zeros(3, 2, 5)
    boxes[0, 0] = torch.tensor([0, 0, 1, 1, 1.0])
    boxes[0, 1] = torch.tensor([0, 0, 0.5, 0.5, 1])
    boxes[2, 0] = torch.tensor([0.5, 0, 1, 0.5, 1])
    store.update(boxes, torch.tensor([2, 0, 1]))
    assert describe(store, (224, 224)) == pytest.approx(dict(clusters=1, no_box=1 / 3, box_area=0.5, whole_image=1 / 3))

    boxes[0, 0] = torch.tensor([0, 0, 31 / 32, 31 / 32, 1])  # the last pixel of 32, as SingleObject counts
    store.update(boxes, torch.tensor([2, 0, 1]))
    assert describe(store, (32, 32))["whole_image"] == pytest.approx(1 / 3)
    assert describe(store, (224, 224))["whole_image"] == 0
