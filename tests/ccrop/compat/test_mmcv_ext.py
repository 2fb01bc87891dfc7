import importlib.machinery
import importlib.util
import subprocess
import sys

import pytest
import torch

from ccrop.compat.mmcv_ext import install_mmcv_ext

install_mmcv_ext()
with_stand_in = pytest.mark.skipif(
    type(sys.modules.get("mmcv._ext")).__name__ != "_StandIn",
    reason="a compiled mmcv._ext is in use",
)


@pytest.fixture
def fresh(monkeypatch):
    """A process in which nobody has imported or registered `mmcv._ext` yet."""
    monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
    return monkeypatch


def iou(a, b, offset):
    def area(x0, y0, x1, y1):
        return max(x1 - x0 + offset, 0) * max(y1 - y0 + offset, 0)

    overlap = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    return overlap / (area(*a) + area(*b) - overlap)


def greedy_nms(boxes, scores, threshold, offset):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[j], offset) <= threshold for j in kept):
            kept.append(i)
    return kept


def test_compiled_extension_is_left_alone(fresh):
    spec = importlib.machinery.ModuleSpec("mmcv._ext", loader=None, origin="mmcv/_ext.so")
    fresh.setattr(importlib.util, "find_spec", lambda name: spec)
    install_mmcv_ext()
    assert "mmcv._ext" not in sys.modules


def test_imported_extension_is_kept(fresh):
    compiled = object()
    fresh.setitem(sys.modules, "mmcv._ext", compiled)
    install_mmcv_ext()
    assert sys.modules["mmcv._ext"] is compiled


def test_installing_twice_keeps_the_first(fresh):
    fresh.setattr(importlib.util, "find_spec", lambda name: None)
    install_mmcv_ext()
    first = sys.modules["mmcv._ext"]
    install_mmcv_ext()
    assert sys.modules["mmcv._ext"] is first


@with_stand_in
def test_operator_without_twin_names_itself_and_the_way_out():
    from mmcv import _ext

    with pytest.raises(NotImplementedError, match=r"'ball_query_forward'.*MMCV_WITH_OPS=1"):
        _ext.ball_query_forward(torch.zeros(1), max_radius=1.0)


@with_stand_in
def test_private_names_are_no_operators():
    from mmcv import _ext

    assert not hasattr(_ext, "__path__")
    assert not hasattr(_ext, "_private")


@pytest.mark.parametrize("offset", [0, 1])
def test_nms_equals_greedy_suppression(offset):
    from mmcv.ops import nms

    generator = torch.Generator().manual_seed(offset)
    corner = torch.rand(60, 2, generator=generator) * 30
    boxes = torch.cat([corner, corner + torch.rand(60, 2, generator=generator) * 20], dim=1)
    scores = torch.rand(60, generator=generator)
    dets, kept = nms(boxes, scores, iou_threshold=0.4, offset=offset)
    expected = greedy_nms(boxes.tolist(), scores.tolist(), 0.4, offset)
    assert 1 < len(expected) < 60
    assert kept.tolist() == expected
    assert torch.equal(dets, torch.cat([boxes, scores[:, None]], dim=1)[expected])


def test_nms_offset_counts_both_border_pixels():
    from mmcv.ops import nms

    boxes, scores = torch.tensor([[0.0, 0, 1, 1], [1.0, 0, 2, 1]]), torch.tensor([0.9, 0.8])
    # With both border pixels the boxes are 2 x 2 and share 1 x 2: IoU 1/3; without, they only touch.
    assert nms(boxes, scores, iou_threshold=0.3, offset=0)[1].tolist() == [0, 1]
    assert nms(boxes, scores, iou_threshold=0.3, offset=1)[1].tolist() == [0]


def test_roi_align_of_a_ramp_is_the_position_of_the_bins():
    from mmcv.ops import roi_align

    rows = torch.arange(16, dtype=torch.float64).view(1, 1, 16, 1).expand(2, 1, 16, 16)
    ramp = torch.cat([rows, rows.transpose(2, 3)], dim=1) * torch.tensor([1.0, 10.0]).view(2, 1, 1, 1)
    rois = torch.tensor([[1, 8, 4, 24, 20]], dtype=torch.float64)  # at stride 2: x 4..12, y 2..10
    pooled = roi_align(ramp, rois, (2, 4), 0.5, 0, "avg", True)
    # A pixel's value stands at its middle, hence the -0.5.
    y, x = torch.tensor([4.0, 8.0]) - 0.5, torch.tensor([5.0, 7.0, 9.0, 11.0]) - 0.5
    expected = 10 * torch.stack([y[:, None].expand(2, 4), x[None].expand(2, 4)])[None]
    torch.testing.assert_close(pooled, expected.double())


def test_roi_align_gradient():
    from mmcv.ops import roi_align

    features = torch.rand(2, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 1.2, 0.4, 9.0, 8.1], [1, 0, 2, 11, 7]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: roi_align(f, rois, (3, 2), 0.5, 2, "avg", True), features)


@pytest.mark.parametrize(("depth", "channels"), [(18, 512), (50, 2048)])
def test_mmdet_resnet_runs(depth, channels):
    from mmdet.models.backbones.resnet import ResNet

    resnet = ResNet(depth=depth, norm_eval=False)
    with torch.no_grad():
        features = resnet(torch.rand(1, 3, 64, 96))
    assert features[-1].shape == (1, channels, 2, 3)


def test_imports_are_silent():
    code = (
        "from ccrop.compat.mmcv_ext import install_mmcv_ext; install_mmcv_ext()\n"
        "from mmdet.models.backbones.resnet import ResNet; import mmdet.datasets, mmdet.evaluation\n"
        "from mmengine.logging import print_log; print_log('still here')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("still here\n", "")
