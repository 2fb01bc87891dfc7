"""Anchors, points and RoIs are where they are in float32, whatever type features have."""

import pytest
import torch

from ccrop.compat.mmcv_ext import install_mmcv_ext
from ccrop.compat.mmdet_positions import keep_positions

install_mmcv_ext()
keep_positions()
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor  # noqa: E402
from mmdet.models.task_modules.prior_generators import AnchorGenerator, MlvlPointGenerator  # noqa: E402


@pytest.mark.parametrize(
    ("generator", "last"),
    [
        (AnchorGenerator(strides=[4], ratios=[1.0], scales=[2.0]), [1196 - 4, -4, 1196 + 4, 4]),
        (MlvlPointGenerator([4], offset=0.5), [1198, 2]),
    ],
)
def test_priors_keep_their_places(generator: AnchorGenerator | MlvlPointGenerator, last: list[float]):
    (priors,) = generator.grid_priors([(1, 300)], dtype=torch.bfloat16, device="cpu")
    assert priors.dtype == torch.float32
    assert priors[-1].tolist() == last  # of the cell from 1196 to 1200 px; bf16 has 1192 and 1200
    (double,) = generator.grid_priors([(1, 300)], dtype=torch.float64, device="cpu")
    assert double.dtype == torch.float64


def test_rois_keep_their_places():
    extractor = SingleRoIExtractor(dict(type="RoIAlign", output_size=1, sampling_ratio=2), 1, [4])
    columns = (torch.arange(300.0) - 251).repeat(1, 1, 4, 1).bfloat16()
    found = extractor([columns], torch.tensor([[0, 1001.0, 2, 1013, 12]]))  # bf16 has 1000 and 1012
    assert found.dtype == torch.bfloat16
    assert found.item() == pytest.approx((1001 + 1013) / 2 / 4 - 0.5 - 251)
