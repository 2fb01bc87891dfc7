"""Windows instead of whole views: the same heads and loss, on what lies at the same place."""

import pytest
import torch

from ccrop.backbones import ResNet
from ccrop.models import RegionPairs, SimSiam, ViewPreprocessor
from ccrop.views.windows import transformed

SHIFT = (24, 8)  # pixels between the views


def tiny(**regions) -> SimSiam:
    torch.manual_seed(0)
    backbone = dict(type=ResNet, depth=18, base_channels=8, stem_channels=8, out_indices=(1, 2, 3))
    return SimSiam(
        backbone,
        channels=32,
        bottleneck=8,
        regions=dict(type=RegionPairs, levels=(0, 1), **regions),
        data_preprocessor=dict(type=ViewPreprocessor),
    )


def scene(num: int = 3) -> dict:
    """A batch of the data set: two 64 px views of 128 x 96 px images, shifted, with three boxes each."""
    torch.manual_seed(1)
    images = torch.randint(0, 256, (num, 96, 128, 3), dtype=torch.uint8)
    corners = [(8, 8), (8 + SHIFT[0], 8 + SHIFT[1])]
    views = [images[:, top : top + 64, left : left + 64] for left, top in corners]
    transforms = [
        torch.tensor([[128 / 64, 0, -left / 64], [0, 96 / 64, -top / 64]]).expand(num, 2, 3) for left, top in corners
    ]
    boxes = torch.tensor([[0.3, 0.3, 0.4, 0.45, 1], [0.35, 0.5, 0.5, 0.6, 1], [0.9, 0.9, 1, 1, 1]])
    return dict(
        views=views, transforms=transforms, boxes=boxes.expand(num, 3, 5), counts=torch.full((num,), 3), index=0
    )


def test_windows_show_the_same_pixels_in_both_views_even_when_mirrored():
    """A ramp that is painted over the scene has the same mean in both windows of a pair."""
    regions = RegionPairs((3,), levels=(0,), num_objects=2, num_background=4, scale=(1, 1), offset=0, min_side=0.02)
    batch = scene(num=64)
    across = torch.arange(128.0).expand(96, 128)
    down = torch.arange(96.0)[:, None].expand(96, 128)
    batch["views"] = [
        torch.stack([ramp[top : top + 64, left : left + 64] for ramp in (across, down, down)], dim=-1)
        .expand(64, 64, 64, 3)
        .to(torch.uint8)
        for left, top in [(8, 8), (8 + SHIFT[0], 8 + SHIFT[1])]
    ]
    plain = ViewPreprocessor(mean=(0, 0, 0), std=(1, 1, 1), jitter_prob=0, gray_prob=0, blur_prob=0)
    before = [transform.clone() for transform in batch["transforms"]]
    prepared = plain(batch, training=True)
    turned = [bool((a != b).any()) for a, b in zip(before, prepared["transforms"], strict=True)]
    assert all(turned), "some views of every batch are mirrored"
    windows, is_object = regions.windows(prepared["boxes"], prepared["counts"], prepared["transforms"])
    assert is_object.sum(dim=1).tolist() == [2] * 64  # the third box is not in the views
    whole = ((windows > 0.02) & (windows < 0.98)).all(dim=-1).all(dim=1)  # not moved into a view
    assert whole.float().mean() > 0.4
    means = [
        RegionPairs((3,), levels=(0,)).pool([view * 255], windows[:, number]).unflatten(0, (64, 6))
        for number, view in enumerate(prepared["views"])
    ]
    torch.testing.assert_close(means[0][whole][:, :2], means[1][whole][:, :2], atol=0.6, rtol=0)


def test_transforms_follow_the_flips_of_the_preprocessor():
    batch = scene(num=200)
    batch["views"] = [view.clone() for view in batch["views"]]
    batch["views"][0][:] = 0
    batch["views"][0][:, 10:20, 4:12] = 255
    plain = ViewPreprocessor(mean=(0, 0, 0), std=(1, 1, 1), jitter_prob=0, gray_prob=0, blur_prob=0)
    prepared = plain(batch, training=True)
    box = torch.tensor([[(8 + 4) / 128, (8 + 10) / 96, (8 + 12) / 128, (8 + 20) / 96]])
    found = transformed(box.expand(200, 1, 4), prepared["transforms"][0])[:, 0] * 64
    mirrored = 0
    for image, corners in zip(prepared["views"][0], found.round().int().tolist(), strict=True):
        left, top, right, bottom = corners
        assert (top, bottom) == (10, 20)
        assert image[0, top:bottom, left:right].min() == 1
        assert image.sum() == 3 * 8 * 10
        mirrored += left == 52
    assert 60 < mirrored < 140


def test_loss_is_that_of_the_method_on_pooled_windows(monkeypatch):
    model = tiny(num_objects=2, num_background=3).eval()
    batch = model.data_preprocessor(scene())
    windows, _ = model.regions.windows(batch["boxes"], batch["counts"], batch["transforms"])
    monkeypatch.setattr(model.regions, "windows", lambda *_: (windows, None))
    loss = model(**batch, mode="loss")["loss"]
    pooled = [
        model.regions.pool(model.extract_feat(view), windows[:, number]) for number, view in enumerate(batch["views"])
    ]
    assert pooled[0].shape == (3 * 5, 48)
    z = [model.projector(vectors) for vectors in pooled]
    p = [model.predictor(vectors) for vectors in z]
    cosines = [torch.cosine_similarity(p[0], z[1]).mean(), torch.cosine_similarity(p[1], z[0]).mean()]
    assert loss.item() == pytest.approx(-sum(cosine.item() for cosine in cosines) / 2, abs=1e-5)
    assert model.embeddings.shape == (15, 32)


def test_gradients_reach_every_pooled_level_and_nothing_behind():
    model = tiny()
    model(**model.data_preprocessor(scene(), training=True), mode="loss")["loss"].backward()
    grads = {name: parameter.grad for name, parameter in model.backbone.named_parameters()}
    assert grads["layer2.1.conv2.weight"].abs().sum() > 0
    assert grads["layer3.1.conv2.weight"].abs().sum() > 0
    assert grads["layer4.1.conv2.weight"] is None


def test_a_pipeline_without_scene_views_is_named():
    model = tiny()
    batch = {name: scene()[name] for name in ("views", "index")}
    with pytest.raises(ValueError, match=r"SceneViews the first step"):
        model(**model.data_preprocessor(batch, training=True), mode="loss")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(num_objects=0, num_background=0), "there must be at least one window"),
        (dict(num_objects=-1), "there must be at least one window"),
        (dict(alpha=0), "alpha must be positive"),
        (dict(scale=(2, 1)), "scale must satisfy"),
        (dict(levels=(1, 2)), r"pooled from maps \[1, 2\].*the backbone gives 2: .*out_indices"),
    ],
)
def test_bad_settings_are_named(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        RegionPairs((16, 32), **settings)


def test_learns_to_match_windows():
    model = tiny(num_objects=2, num_background=6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    batch = scene(num=8)
    losses = []
    for _ in range(25):
        loss = model(**model.data_preprocessor(batch, training=True), mode="loss")["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.2


def test_whole_views_are_one_more_pair_each():
    torch.manual_seed(0)
    maps = [torch.rand(3, 2, 8, 8), torch.rand(3, 4, 4, 4)]
    windows = torch.tensor([0.25, 0.25, 0.75, 0.75]).expand(3, 5, 4)
    plain = RegionPairs((2, 4), levels=(0, 1)).pool(maps, windows)
    both = RegionPairs((2, 4), levels=(0, 1), whole_views=True).pool(maps, windows)
    torch.testing.assert_close(both[:15], plain)
    for image, vector in enumerate(both[15:]):
        expected = [float(channel.sum()) / channel.numel() for level in maps for channel in level[image]]
        assert vector.tolist() == pytest.approx(expected, abs=1e-6)
    assert len(both) == 18
