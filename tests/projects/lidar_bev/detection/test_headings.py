"""Codes of headings: round trips, the axis code's loss by its formula, and what is learned of ambiguous headings."""

import math

import pytest
import torch

from ccrop.projects.lidar_bev.detection.headings import HEADING_CODES

CODES = pytest.mark.parametrize("name", ["angle", "axis"])
HEADINGS = torch.cat([torch.linspace(-math.pi, math.pi, 73)[1:], torch.tensor([-3.1415, -1.5708, 1.5708, 3.1415])])


def apart(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Angles between headings, in [0, pi]."""
    return torch.acos((first - second).cos().clamp(-1, 1))


@CODES
def test_every_heading_comes_back(name: str):
    code = HEADING_CODES[name]
    values = code.encoded(HEADINGS)
    assert values.shape == (len(HEADINGS), code.channels)
    found = code.decoded(values)
    assert found.abs().max() <= math.pi + 1e-6
    torch.testing.assert_close(torch.stack([found.sin(), found.cos()]), torch.stack([HEADINGS.sin(), HEADINGS.cos()]))


@CODES
def test_mirrored_codes_are_those_of_mirrored_headings(name: str):
    code = HEADING_CODES[name]
    for axis, mirrored in (("x", math.pi - HEADINGS), ("y", -HEADINGS)):
        expected = code.encoded(mirrored)
        torch.testing.assert_close(code.encoded(HEADINGS) * torch.tensor(code.mirrored[axis]), expected)


def test_small_errors_of_the_axis_stay_small_whatever_the_heading():
    """Also across the ends of the range of the axis, where a single channel would turn boxes around."""
    code = HEADING_CODES["axis"]
    for error in (-0.2, 0.2):
        values = torch.cat([code.encoded(HEADINGS + error)[:, :2], 0.1 * code.encoded(HEADINGS)[:, 2:]], dim=1)
        torch.testing.assert_close(
            apart(code.decoded(values), HEADINGS), torch.full_like(HEADINGS, 0.2), atol=2e-3, rtol=0
        )


def test_the_loss_of_axis_and_direction_is_that_of_the_formula():
    code = HEADING_CODES["axis"]
    values = [[0.3, -0.8, 1.5, -0.5], [1.0, 0.0, 0.0, 2.0], [-0.4, 0.2, -3.0, 0.1]]
    headings = [0.7, -2.5, 3.0]
    axis, direction = [], []
    for (sine, cosine, x, y), heading in zip(values, headings, strict=True):
        axis.append(abs(sine - math.sin(2 * heading)) + abs(cosine - math.cos(2 * heading)))
        front = 1 / (1 + math.exp(-(x * math.cos(heading) + y * math.sin(heading))))
        direction.append(-math.log(front))
    arguments = torch.tensor(values), code.encoded(torch.tensor(headings))
    expected = [sum(each) for each in zip(axis, direction, strict=True)]
    assert code.loss(*arguments, None).tolist() == pytest.approx(expected, rel=1e-5)
    weights = [1.0, 0.5, 0.0]
    expected = [weight * each for weight, each in zip(weights, axis, strict=True)]
    assert code.loss(*arguments, torch.tensor(weights)).tolist() == pytest.approx(expected, rel=1e-5)


def test_boxes_without_a_front_teach_no_direction():
    code = HEADING_CODES["axis"]
    values = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weights = torch.ones(5)
    for turned in (0, math.pi):
        loss = code.loss(values, code.encoded(HEADINGS[:5] + turned), weights).sum()
        (gradient,) = torch.autograd.grad(loss, values)
        assert (gradient[:, :2] != 0).all()
        assert not gradient[:, 2:].any()


def learned(name: str, headings: torch.Tensor) -> torch.Tensor:
    """The heading that minimizes the loss over objects that look alike."""
    code = HEADING_CODES[name]
    values = torch.full((1, code.channels), 0.1, requires_grad=True)
    optimizer = torch.optim.SGD([values], lr=0.05)
    for _ in range(100):
        loss = code.loss(values.expand(len(headings), -1), code.encoded(headings), None).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return code.decoded(values.detach())[0]


def test_the_axis_survives_where_front_and_back_look_alike():
    """Of objects that look alike six head one way, four the other."""
    headings = torch.tensor([0.9] * 6 + [0.9 - math.pi] * 4)
    assert apart(learned("axis", headings), headings[0]) < 0.05
    alike = torch.tensor([0.9] * 5 + [0.9 - math.pi] * 5)
    assert abs(torch.sin(learned("axis", alike) - 0.9)) < 0.05
    assert abs(torch.sin(learned("angle", alike) - 0.9)) > 0.1
