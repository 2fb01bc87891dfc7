"""mmcv's operators as mmdet calls them, against plain Python."""

import math

import pytest
import torch
from torch.testing import assert_close

from ccrop.compat.mmcv_ext import install_mmcv_ext

install_mmcv_ext()
from mmcv.ops import batched_nms, nms, roi_align, sigmoid_focal_loss, soft_nms  # noqa: E402

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


def iou(a, b, offset=0):
    def area(x0, y0, x1, y1):
        return max(x1 - x0 + offset, 0) * max(y1 - y0 + offset, 0)

    overlap = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    return overlap / (area(*a) + area(*b) - overlap)


def some_boxes(number, seed):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(number, 2, generator=generator) * 30
    boxes = torch.cat([corner, corner + 1 + torch.rand(number, 2, generator=generator) * 20], dim=1)
    return boxes, torch.rand(number, generator=generator)


def decayed(boxes, scores, method, offset, threshold=0.3, sigma=0.5, min_score=0.1):
    """Soft NMS, one box after the other."""
    left, scores, kept = list(range(len(boxes))), list(scores), []
    while left:
        best = max(left, key=lambda i: scores[i])
        kept.append((best, scores[best]))
        left.remove(best)
        for i in left:
            overlap = iou(boxes[best], boxes[i], offset)
            if method == "gaussian":
                scores[i] *= math.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                scores[i] *= 1 - overlap if method == "linear" else 0
        left = [i for i in left if scores[i] >= min_score]
    return kept


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms_decays_scores_one_after_the_other(method, offset, device):
    boxes, scores = some_boxes(40, seed=offset)
    expected = decayed(boxes.tolist(), scores.tolist(), method, offset)
    assert 2 < len(expected) < 40
    dets, kept = soft_nms(boxes.to(device), scores.to(device), 0.3, 0.5, 0.1, method, offset)
    assert kept.tolist() == [index for index, _ in expected]
    assert_close(dets.cpu()[:, :4], boxes[kept.cpu()])
    assert_close(dets.cpu()[:, 4], torch.tensor([score for _, score in expected]))


def test_soft_nms_of_no_box_is_empty():
    dets, kept = soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5)
    assert kept.shape == (0,)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["nms", "soft_nms"])
def test_batched_nms_never_suppresses_another_class(kind, device):
    boxes, scores = some_boxes(20, seed=3)
    twice, both = torch.cat([boxes, boxes]).to(device), torch.cat([scores, scores / 2]).to(device)
    classes = torch.arange(2, device=device).repeat_interleave(20)
    config = dict(type=kind, iou_threshold=0.3) | (dict(min_score=0.2) if kind == "soft_nms" else {})
    _, kept = batched_nms(twice, both, classes, config)
    alone = [batched_nms(twice[classes == c], both[classes == c], classes[classes == c], config)[1] for c in (0, 1)]
    assert sorted(kept.tolist()) == sorted(alone[0].tolist() + (alone[1] + 20).tolist())
    assert 2 < len(kept) < 40


def sampled(plane, y, x):
    """Bilinear value of a plane, a list of rows, whose pixels stand at whole numbers; 0 more than a pixel outside."""
    height, width = len(plane), len(plane[0])
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = min(int(y), height - 2), min(int(x), width - 2)
    dy, dx = y - top, x - left
    upper = plane[top][left] * (1 - dx) + plane[top][left + 1] * dx
    lower = plane[top + 1][left] * (1 - dx) + plane[top + 1][left + 1] * dx
    return upper * (1 - dy) + lower * dy


def pooled(features, roi, size, scale, ratio, mode, aligned):
    shift = 0.5 if aligned else 0.0
    image, x0, y0, x1, y1 = int(roi[0]), *(side * scale - shift for side in roi[1:])
    height, width = (y1 - y0, x1 - x0) if aligned else (max(y1 - y0, 1), max(x1 - x0, 1))
    bin_height, bin_width = height / size[0], width / size[1]
    rows, columns = (ratio, ratio) if ratio else (math.ceil(bin_height), math.ceil(bin_width))
    out = []
    for plane in features[image].tolist():
        for i in range(size[0]):
            for j in range(size[1]):
                samples = [
                    sampled(plane, y0 + (i + (a + 0.5) / rows) * bin_height, x0 + (j + (b + 0.5) / columns) * bin_width)
                    for a in range(rows)
                    for b in range(columns)
                ]
                out.append(max(samples) if mode == "max" else sum(samples) / len(samples))
    return torch.tensor(out, dtype=features.dtype).view(len(features[0]), *size)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_samples_every_bin(mode, aligned, ratio, device):
    features = torch.rand(2, 3, 9, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor(
        [[0, 1.0, 2.0, 15.0, 13.0], [1, 3.0, 0.0, 20.0, 17.5], [1, 4.0, 4.0, 4.5, 5.0], [0, -3.0, 1.0, 9.0, 25.0]]
    ).double()
    expected = [pooled(features, roi, (3, 2), 0.5, ratio, mode, aligned) for roi in rois.tolist()]
    found = roi_align(features.to(device), rois.to(device), (3, 2), 0.5, ratio, mode, aligned)
    assert_close(found.cpu(), torch.stack(expected))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_gradient(mode, ratio, device):
    features = torch.rand(2, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(device)
    rois = torch.tensor([[0, 1.2, 0.4, 9.0, 8.1], [1, 0, 2, 11, 7]], dtype=torch.float64, device=device)
    assert torch.autograd.gradcheck(
        lambda f: roi_align(f, rois, (3, 2), 0.5, ratio, mode, True), features.requires_grad_()
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_roi_align_in_16_bits_rounds_only_its_inputs_and_its_result(mode, device):
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 2, 40, 40, generator=generator).to(device, torch.bfloat16)
    rois = torch.tensor([[0, 1.25, 2.5, 15, 13], [0, 0, 0, 39, 38]], device=device, dtype=torch.bfloat16)
    weight = torch.rand(2, 2, 2, 2, generator=generator).to(device, torch.bfloat16)
    found, gradients = [], []
    for dtype in (torch.float32, torch.bfloat16):  # bins of up to 20 x 19 samples, more than bf16 can count
        own = features.to(dtype).requires_grad_()
        found.append(roi_align(own, rois.to(dtype), (2, 2), 1.0, 0, mode, True))
        (found[-1] * weight.to(dtype)).sum().backward()
        gradients.append(own.grad)
    assert found[1].dtype == gradients[1].dtype == torch.bfloat16
    assert_close(found[1], found[0].bfloat16(), rtol=0, atol=0)
    assert_close(gradients[1], gradients[0].bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize("device", DEVICES)
def test_focal_loss_of_easy_examples_in_16_bits_is_not_zero(device):
    logits = torch.tensor([[-8.0, 7.0]], device=device, dtype=torch.bfloat16, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1], device=device), 2.0, 0.25, None, "none")
    loss.sum().backward()
    p = 1 / (1 + math.exp(8.0))  # the gradient of -0.75 p^2 log(1 - p) by the logit, p' = p (1 - p)
    slope = 0.75 * (p**2 / (1 - p) - 2 * p * math.log(1 - p)) * p * (1 - p)
    assert loss[0, 0].item() == pytest.approx(-0.75 * p**2 * math.log(1 - p), rel=0.01)
    assert logits.grad[0, 0].item() == pytest.approx(slope, rel=0.01)


def test_nms_in_16_bits():
    boxes, scores = some_boxes(30, seed=5)
    boxes, scores = boxes.bfloat16(), scores.bfloat16()
    for method in (nms, soft_nms):
        expected, found = method(boxes.float(), scores.float(), 0.3), method(boxes, scores, 0.3)
        assert found[1].tolist() == expected[1].tolist()
        assert_close(found[0].float(), expected[0], rtol=0.01, atol=0.01)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_sigmoid_focal_loss_is_equation_5(reduction, device):
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(6, 3, generator=generator, dtype=torch.float64)).to(device).requires_grad_()
    target = torch.tensor([0, 1, 2, 3, 3, 1], device=device)  # 3 is background
    gamma, alpha, expected = 2.0, 0.25, []
    for row, label in zip(logits.tolist(), target.tolist(), strict=True):
        for c, logit in enumerate(row):
            p = 1 / (1 + math.exp(-logit))
            p, weight = (p, alpha) if c == label else (1 - p, 1 - alpha)
            expected.append(-weight * (1 - p) ** gamma * math.log(p))
    expected = torch.tensor(expected, dtype=torch.float64).view(6, 3)
    expected = dict(none=expected, sum=expected.sum(), mean=expected.sum() / 6)[reduction]

    def loss(x):
        return sigmoid_focal_loss(x, target, gamma, alpha, None, reduction)

    assert_close(loss(logits).cpu(), expected)
    if reduction != "none":  # mmcv's own backward asks for a scalar
        assert torch.autograd.gradcheck(loss, logits)


def test_focal_loss_refuses_class_weights():
    with pytest.raises(NotImplementedError, match="sigmoid_focal_loss with a weight per class"):
        sigmoid_focal_loss(torch.zeros(1, 2), torch.tensor([0]), 2.0, 0.25, torch.ones(2), "none")
