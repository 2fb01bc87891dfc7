"""On a GPU everything gives what it gives on the CPU, and hot paths never wait for it; skipped if there is none."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import one_heatmap
import pytest
import torch
from torch.testing import assert_close

from ccrop.backbones import ResNet
from ccrop.localization import MultiObject, SingleObject, feature_heatmap
from ccrop.localization.gaussian_heatmaps import center_heatmaps
from ccrop.models import RegionPairs, SimSiam, ViewPreprocessor
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models.pillars import DynamicPillars
from ccrop.views import BetaCenters, GaussianCenters
from ccrop.views.resampling import resized_crops

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
IMAGE = (224, 224)


@contextmanager
def without_waiting() -> Iterator[None]:
    """Whatever makes the host wait for the device is an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def seconds(function: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def features(num: int, size: int) -> torch.Tensor:
    return torch.randn(num, 16, size, size, generator=torch.Generator().manual_seed(0)).relu()


@pytest.mark.parametrize("localizer", [SingleObject(), MultiObject(), MultiObject(max_boxes=32, threshold=0.7)])
def test_localizers_find_the_same_boxes(localizer: SingleObject | MultiObject):
    maps = features(32, 14)
    expected = localizer(maps, IMAGE)
    on_device = maps.cuda()
    boxes, counts = localizer(on_device, IMAGE)
    if isinstance(localizer, SingleObject):  # MultiObject waits some times a batch, to merge regions
        with without_waiting():
            localizer(on_device, IMAGE)
    assert torch.equal(counts.cpu(), expected[1])
    assert_close(boxes.cpu(), expected[0])


@pytest.mark.parametrize("size", [28, 56])
def test_multi_object_is_50_times_as_fast_as_cell_by_cell(size: int):
    heatmap = feature_heatmap(features(256, size))
    on_device = heatmap.cuda()
    fast = min(seconds(lambda: MultiObject().objects(on_device)) for _ in range(10))
    slow = seconds(lambda: [one_heatmap.objects(heights) for heights in heatmap[:16].numpy()]) * 16
    figures = f"{1e3 * fast:.1f} ms, one by one {1e3 * slow:.0f} ms: {slow / fast:.0f} times as fast"
    print(f"\nMultiObject on {torch.cuda.get_device_name()}, 256 maps of {size}x{size}: {figures}")
    assert slow > 50 * fast


def test_gaussian_centers_are_drawn_alike():
    generator = torch.Generator().manual_seed(0)
    objects = dict(
        centers=torch.rand(200, 2, generator=generator) * 70 - 3,
        radii=torch.randint(1, 9, (200,), generator=generator),
        images=torch.randint(0, 4, (200,), generator=generator),
        labels=torch.randint(0, 3, (200,), generator=generator),
    )
    there = {name: each.cuda() for name, each in objects.items()}
    with without_waiting():
        drawn = center_heatmaps(**there, shape=(4, 3, 64, 64))
    assert_close(drawn.cpu(), center_heatmaps(**objects, shape=(4, 3, 64, 64)))


@pytest.mark.parametrize("centers", [BetaCenters(0.6), GaussianCenters()])
def test_centers_are_suppressed_alike(centers: BetaCenters | GaussianCenters):
    torch.manual_seed(0)
    here, there = centers.sample((100_000,)), centers.sample((100_000,), "cuda").cpu()
    quantiles = torch.linspace(0.05, 0.95, 19)
    assert_close(there.quantile(quantiles, dim=0), here.quantile(quantiles, dim=0), atol=0.02, rtol=0)


@pytest.mark.parametrize("regions", [None, dict(type=RegionPairs, levels=(0, 1))])
def test_a_step_of_training_never_waits(regions: dict | None):
    torch.manual_seed(0)
    model = SimSiam(
        dict(type=ResNet, depth=18, base_channels=8, stem_channels=8, out_indices=(1, 2, 3)),
        channels=32,
        bottleneck=8,
        regions=regions,
        data_preprocessor=dict(type=ViewPreprocessor),
    ).cuda()
    near = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(8, 2, 3)
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.5, 1], [0.4, 0.3, 0.9, 0.8, 0.7]]).expand(8, 2, 5)

    def step() -> torch.Tensor:
        batch = dict(views=list(views), index=index)
        if regions is not None:
            batch |= dict(transforms=[each.clone() for each in transforms], boxes=placed, counts=counts)
        loss = model(**model.data_preprocessor(batch, training=True), mode="loss")["loss"]
        loss.backward()
        return loss

    views = [torch.randint(0, 256, (8, 64, 64, 3), dtype=torch.uint8).cuda() for _ in range(2)]
    transforms = [near.cuda(), near.cuda()]
    index, placed, counts = torch.arange(8).cuda(), boxes.cuda(), torch.full((8,), 2).cuda()
    step()
    with without_waiting():
        loss = step()
    assert -1 <= loss.item() <= 1
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


def test_pillars_are_the_same():
    generator = torch.Generator().manual_seed(0)
    sweeps = [torch.rand(count, 4, generator=generator) * torch.tensor([4.0, 4, 4, 1]) for count in (3000, 5, 700)]
    torch.manual_seed(0)
    pillars = DynamicPillars(Grid(low=(0, 0, 0), high=(4, 4, 4), cell=0.5), 4, 8).train()
    expected = pillars(sweeps)
    expected.square().sum().backward()
    gradient = pillars.linear.weight.grad.clone()
    pillars.zero_grad()
    found = pillars.cuda()([sweep.cuda() for sweep in sweeps])
    found.square().sum().backward()
    assert_close(found.cpu(), expected, atol=1e-4, rtol=1e-4)
    assert_close(pillars.linear.weight.grad.cpu(), gradient, atol=1e-2, rtol=1e-3)


def test_crops_of_a_resident_set_are_cut_alike_without_waiting():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, 48, 64), dtype=torch.uint8, generator=generator)
    start = torch.randint(0, 24, (64, 2), generator=generator)
    rectangles = torch.cat([start, start + torch.randint(1, 25, (64, 2), generator=generator)], dim=1)
    expected = resized_crops(images, rectangles, 32)
    images, rectangles = images.cuda(), rectangles.cuda()
    resized_crops(images, rectangles, 32)
    with without_waiting():
        found = resized_crops(images, rectangles, 32)
    assert (found.cpu().int() - expected.int()).abs().max() <= 1  # sums in another order
