"""Boxes of whole data sets: found, taken from labels, and drawn."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mmengine.logging import MessageHub

from ccrop.datasets import BoxStore
from ccrop.evaluation import embedding_std
from ccrop.models import RegionPairs, SimSiam
from ccrop.projects.lidar_bev.datasets import KittiSweeps, SweepFolder
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.localizer import BevClusters
from ccrop.projects.lidar_bev.models import PillarEncoder
from ccrop.projects.lidar_bev.pretraining import (
    AnnotatedSweepsHook,
    PillarBackbone,
    SceneSweeps,
    SparseBackbone,
    SweepGalleryHook,
    SweepLocalizationHook,
    collate_sweeps,
)
from ccrop.projects.lidar_bev.pretraining.annotated_sweeps import bounds
from ccrop.projects.lidar_bev.pretraining.gallery import gaussian_centers, pixels
from ccrop.projects.lidar_bev.pretraining.localization import locate_sweeps
from ccrop.views import GaussianCenters

GRID = dict(type=Grid, low=(-24, -24, -3), high=(24, 24, 1), cell=0.75)
PLAIN = Grid(GRID["low"], GRID["high"], GRID["cell"])
PLACES = [(8, 3), (-12, 10), (5, -14), (-6, -7)]


def street(number: int) -> np.ndarray:
    """A road with ``number`` boxes of 4 m x 2 m on it."""
    rng = np.random.default_rng(number)
    road = np.column_stack([rng.uniform(-24, 24, (9000, 2)), rng.normal(-1.7, 0.02, 9000), np.zeros(9000)])
    cars = [rng.uniform([x - 2, y - 1, -1.4, 0], [x + 2, y + 1, -0.2, 1], (400, 4)) for x, y in PLACES[:number]]
    return np.concatenate([road, *cars]).astype(np.float32)


@pytest.fixture
def sweeps(tmp_path: Path) -> SweepFolder:
    for number in range(5):
        street(number).tofile(tmp_path / f"{number}.bin")
    return SweepFolder(tmp_path, pipeline=[dict(type=SceneSweeps, grid=GRID, max_boxes=8)])


def model(**regions) -> SimSiam:
    torch.manual_seed(0)
    return SimSiam(
        dict(type=PillarBackbone, grid=GRID, size="small"),
        channels=32,
        bottleneck=8,
        regions=dict(type=RegionPairs, levels=(0,), num_objects=5, num_background=3, **regions),
    )


def localizer() -> BevClusters:
    return BevClusters(GRID, max_boxes=8)


@pytest.mark.parametrize("learned", [0.0, 0.4])
def test_boxes_of_a_data_set_and_none_of_an_unreadable_sweep(sweeps: SweepFolder, learned: float):
    (Path(sweeps.data_root) / "2.bin").write_bytes(b"damaged")
    boxes, counts = locate_sweeps(model().eval(), sweeps, localizer(), learned, batch_size=2)
    assert counts.tolist() == [0, 1, 0, 3, 4]
    assert sweeps.unreadable.tolist() == [False, False, True, False, False]
    middle = (boxes[4, :4, :2] + boxes[4, :4, 2:4]) / 2 * 48 - 24
    for place in PLACES:
        assert (middle - torch.tensor(place)).norm(dim=1).min() < 1


def test_the_learned_share_grows_from_none_to_the_blend():
    hook = SweepLocalizationHook(dict(type=BevClusters, grid=GRID), blend=0.6, interval=0.2)
    assert list(hook.schedule(10)) == [0, 2, 4, 6, 8]
    assert [round(hook.learned(step, 10), 3) for step in (0, 1, 2, 4, 6, 8, 9)] == [0, 0, 0.15, 0.3, 0.45, 0.6, 0.6]
    once = SweepLocalizationHook(dict(type=BevClusters, grid=GRID), interval=1.0)
    assert list(once.schedule(10)) == [0]
    assert once.learned(0, 10) == once.learned(9, 10) == 0
    with pytest.raises(ValueError, match="blend"):
        SweepLocalizationHook(dict(type=BevClusters, grid=GRID), blend=1.5)


def runner_of(sweeps: SweepFolder, tmp_path: Path) -> SimpleNamespace:
    return SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=sweeps),
        model=model(centers=dict(type=GaussianCenters)),
        optim_wrapper=SimpleNamespace(),
        message_hub=MessageHub.get_instance(f"lidar-{tmp_path}"),
        logger=logging.getLogger("lidar"),
        visualizer=SimpleNamespace(add_image=lambda *_, **__: None),
        cfg=SimpleNamespace(experiment="test", load_from=str(tmp_path / "epoch_1.pth")),
        hooks=[],
        call_hook=lambda name: None,
        work_dir=str(tmp_path),
        seed=0,
        epoch=0,
        max_epochs=5,
        iter=0,
    )


def test_the_hook_fills_the_store_that_the_pipeline_reads(sweeps: SweepFolder, tmp_path: Path, caplog):
    caplog.set_level(logging.INFO)
    runner = runner_of(sweeps, tmp_path)
    hook = SweepLocalizationHook(dict(type=BevClusters, grid=GRID, max_boxes=8), num_workers=0)
    hook.before_run(runner)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    assert sweeps.boxes.counts.tolist() == [0, 1, 2, 3, 4]
    assert sweeps[3]["counts"] == 3
    np.testing.assert_array_equal(sweeps[3]["boxes"][:3].numpy(), sweeps.boxes[3])
    assert re.fullmatch(
        r"Localized 5 sweeps in .* s, learned heatmap 0%: 2.00 boxes per sweep, .* m", caplog.messages[0]
    )
    hook.after_train_epoch(runner)
    scalars = {name: runner.message_hub.get_scalar(f"epoch/{name}").current() for name in ("clusters", "no_box")}
    assert scalars == dict(clusters=2.0, no_box=pytest.approx(0.2))
    assert 3.5 < runner.message_hub.get_scalar("epoch/box_side").current() < 6  # 4 m, blurred and in cells of 0.75 m

    gallery = SweepGalleryHook(num_sweeps=2)
    runner.hooks = [hook, gallery]
    gallery.after_localization(runner)
    assert (tmp_path / "gallery/epoch_0000.png").stat().st_size > 20_000
    saved: dict = {}
    hook.before_save_checkpoint(runner, saved)
    hook.before_run(runner)
    assert sweeps.boxes.counts.sum() == 0
    hook.after_load_checkpoint(runner, saved)
    assert sweeps.boxes.counts.tolist() == [0, 1, 2, 3, 4]


def test_gaussian_centers_of_boxes():
    grid = Grid((-24, -24, -3), (24, 24, 1), 0.5)
    boxes = np.array([[0.5, 0.25, 0.55, 0.3, 1], [0.1, 0.8, 0.12, 0.81, 1]], dtype=np.float32)
    heatmap = gaussian_centers(boxes, grid)
    assert heatmap.shape == (96, 96)
    assert heatmap[26, 50] == heatmap[77, 10] == 1  # rows along y
    assert 0 < heatmap[26, 51] < 1
    assert gaussian_centers(boxes[:0], grid).max() == 0


def test_a_figure_as_an_image():
    image = pixels(Figure(figsize=(2, 1), dpi=50, facecolor=(1, 0, 0)))
    assert image.shape == (50, 100, 3)
    assert (image == [255, 0, 0]).all()


def test_bounds_of_labeled_objects():
    grid = Grid(low=(-10, -20, -3), high=(10, 20, 1), cell=1.0)
    boxes = np.array(
        [[0, 0, 0, 4, 2, 1, 0], [5, 10, 0, 4, 2, 1, np.pi / 2], [9.5, 0, 0, 4, 2, 1, 0], [11, 0, 0, 4, 2, 1, 0]]
    )
    expected = [[0.4, 0.475, 0.6, 0.525], [0.7, 0.7, 0.8, 0.8], [0.875, 0.475, 1.0, 0.525]]
    np.testing.assert_allclose(bounds(boxes, grid), expected, atol=1e-6)


def test_labeled_objects_take_the_place_of_clusters(simulated: Path):
    training = KittiSweeps(simulated, split="val", subset=4)
    labeled = dict(
        type=KittiSweeps, data_root=simulated, split="val", subset=4, labeled=True, in_view=False, labels="label_360"
    )
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=training))
    AnnotatedSweepsHook(labeled, GRID, min_points=10).before_run(runner)
    for index in range(4):
        known = KittiSweeps(**{name: value for name, value in labeled.items() if name != "type"}).known(index)
        inside = (abs(known["boxes"][:, :2]) < 24).all(axis=1)
        assert training.boxes.counts[index] == (inside & (known["num_points"] >= 10)).sum() > 0
    with pytest.raises(ValueError, match="same split"):
        AnnotatedSweepsHook(labeled | dict(subset=3), GRID).before_run(runner)


def test_more_objects_than_boxes_keep_those_with_the_most_points(simulated: Path):
    training = KittiSweeps(simulated, split="val", subset=1)
    labeled = dict(
        type=KittiSweeps, data_root=simulated, split="val", subset=1, labeled=True, in_view=False, labels="label_360"
    )
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=training))
    AnnotatedSweepsHook(labeled, GRID, max_boxes=2).before_run(runner)
    known = KittiSweeps(**{name: value for name, value in labeled.items() if name != "type"}).known(0)
    inside = (abs(known["boxes"][:, :2]) < 24).all(axis=1)
    best = known["boxes"][inside][np.argsort(-known["num_points"][inside], kind="stable")[:2]]
    np.testing.assert_allclose(training.boxes[0][:, :4], bounds(best, PLAIN), atol=1e-3)


def test_backbones_give_one_level_with_the_encoders_names():
    torch.manual_seed(0)
    backbone = PillarBackbone(GRID, size="small").eval()
    levels = backbone([torch.from_numpy(street(2)), torch.from_numpy(street(3))])
    assert [tuple(level.shape) for level in levels] == [(2, 96, 32, 32)]
    encoder = PillarEncoder(PLAIN, size="small").eval()
    whole = model().state_dict()
    weights = {n.removeprefix("backbone."): each for n, each in whole.items() if n.startswith("backbone.")}
    encoder.load_state_dict(weights)
    sweep = [torch.from_numpy(street(1))]
    torch.testing.assert_close(encoder(sweep), model().eval().extract_feat(sweep)[0])


def test_the_sparse_encoder_is_a_backbone_too():
    pytest.importorskip("spconv")
    backbone = SparseBackbone(GRID | dict(cell=0.75)).eval()
    assert [tuple(level.shape) for level in backbone([torch.from_numpy(street(2))])] == [(1, 512, 8, 8)]


def test_it_learns_to_match_windows(sweeps: SweepFolder):
    """The loss falls on a fixed batch, and the embedding stays alive."""
    sweeps.boxes = BoxStore(len(sweeps), 8, sweeps.fingerprint())
    sweeps.update_boxes(*locate_sweeps(model().eval(), sweeps, localizer(), 0.0))
    net = model(centers=dict(type=GaussianCenters), min_side=0.03).train()
    batch = net.data_preprocessor(collate_sweeps([sweeps[index] for index in range(5)]), True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(12):
        loss = net(**batch, mode="loss")["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1
    assert embedding_std(net.embeddings) > 0.4
    assert net.embeddings.shape == (5 * 8, 32)
