"""kNN accuracy in the middle of a run."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from PIL import Image
from torch import Tensor, nn

from ccrop.datasets import ImageFolder, ImageNet
from ccrop.hooks import KNNHook


class MeanColor(nn.Module):
    """A backbone whose pooled features are an image's mean color."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def data_preprocessor(self, data: dict) -> dict:
        return dict(images=data["images"].permute(0, 3, 1, 2).float())

    def pooled(self, images: Tensor) -> Tensor:
        assert not self.training
        return images.mean(dim=(2, 3))


def draw(root: Path, colors: dict[str, list[str]]) -> None:
    for name, shades in colors.items():
        (root / name).mkdir(parents=True)
        for index, shade in enumerate(shades):
            Image.new("RGB", (8, 8), shade).save(root / name / f"{index}.png")


@pytest.fixture
def runner(tmp_path: Path) -> SimpleNamespace:
    return SimpleNamespace(
        model=MeanColor(),
        optim_wrapper=None,
        epoch=0,
        max_epochs=3,
        logger=MMLogger.get_instance(tmp_path.name),
        message_hub=MessageHub.get_instance(tmp_path.name),
        visualizer=Mock(),
    )


def hook(tmp_path: Path, labeled: bool = True, **settings) -> KNNHook:
    bank, queries = (
        dict(type=ImageFolder, data_root=str(tmp_path / name), labeled=labeled) for name in ("bank", "queries")
    )
    return KNNHook(bank, queries, (8, 8), num_workers=0, **settings)


def accuracies(runner: SimpleNamespace) -> list[float]:
    scalars = runner.message_hub.log_scalars
    return scalars["epoch/knn"].data[0].tolist() if "epoch/knn" in scalars else []


def test_it_is_the_share_of_queries_near_their_class(tmp_path: Path, runner: SimpleNamespace):
    draw(tmp_path / "bank", dict(a=["#ff0000", "#ee0000"], b=["#0000ff", "#0000ee"]))
    draw(tmp_path / "queries", dict(a=["#ff1010", "#dd0000", "#0000dd"], b=["#1010ff"]))
    knn = hook(tmp_path, k=2, interval=2)
    runner.model.train()
    knn.before_train(runner)
    assert accuracies(runner) == [0.75]
    runner.visualizer.add_scalar.assert_called_once_with("epoch/knn", 0.75, step=0)
    assert runner.model.training  # as before
    knn.after_train_epoch(runner)  # the first epoch is not due
    assert len(accuracies(runner)) == 1
    for runner.epoch in (1, 2):  # the second is, the last always
        knn.after_train_epoch(runner)
    assert accuracies(runner) == [0.75] * 3


def test_a_resumed_run_is_not_measured_before_it_trains(tmp_path: Path, runner: SimpleNamespace):
    draw(tmp_path / "bank", dict(a=["red"], b=["blue"]))
    draw(tmp_path / "queries", dict(a=["red"], b=["blue"]))
    runner.epoch = 1
    hook(tmp_path).before_train(runner)
    assert accuracies(runner) == []


def test_queries_that_lack_a_class_of_the_bank_are_measured_right(tmp_path: Path, runner: SimpleNamespace):
    for split, names in (("train", ("red", "green", "blue")), ("val", ("red", "blue"))):
        draw(tmp_path / split, {name: [name] for name in names})
    bank, queries = (dict(type=ImageNet, data_root=str(tmp_path), split=split) for split in ("train", "val"))
    KNNHook(bank, queries, (8, 8), k=1, num_workers=0).before_train(runner)
    assert accuracies(runner) == [1]


@pytest.mark.parametrize("fault", ["classes", "unreadable"])
def test_labels_that_cannot_be_used_are_named_once_and_the_run_goes_on(
    tmp_path: Path, runner: SimpleNamespace, monkeypatch, fault: str
):
    draw(tmp_path / "bank", dict(a=["red"], b=["blue"]))
    draw(tmp_path / "queries", dict(a=["red"], wasp=["blue"]) if fault == "classes" else dict(a=["red"], b=["blue"]))
    if fault == "unreadable":
        for file in (tmp_path / "queries").glob("*/*.png"):
            file.write_text("no image")
    lines: list[str] = []
    monkeypatch.setattr(runner.logger, "warning", lines.append)
    knn = hook(tmp_path)
    knn.before_train(runner)
    knn.after_train_epoch(runner)
    assert accuracies(runner) == []
    (line,) = lines
    assert line.startswith(f"The run continues without kNN accuracy: {tmp_path}/queries")
    assert {"classes": "['b', 'wasp']", "unreadable": "none of its 2 images is readable; the first: "}[fault] in line


@pytest.mark.parametrize("there", [True, False])
def test_without_labels_it_rests(tmp_path: Path, runner: SimpleNamespace, there: bool):
    if there:
        draw(tmp_path / "bank", dict(a=["red"]))
        draw(tmp_path / "queries", dict(a=["red"]))
    knn = hook(tmp_path, labeled=False)
    knn.before_train(runner)
    knn.after_train_epoch(runner)
    assert accuracies(runner) == []
