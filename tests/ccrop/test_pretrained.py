"""Models of pretraining runs, as evaluations load them."""

from pathlib import Path

import pytest
import torch
from jobs import ROOT

from ccrop.pretrained import load_pretrained

NARROW = {"model.backbone.depth": 18, "model.backbone.base_channels": 8, "model.backbone.stem_channels": 8}


def test_a_model_that_is_evaluated_may_start_from_any_weights(demo_root: Path, tmp_path: Path):
    config = ROOT / "configs/simsiam_rcrop_demo.py"
    torch.manual_seed(9)
    weights = load_pretrained(None, config, demo_root, NARROW, seed=4)[1].backbone.state_dict()
    torch.save({f"module.encoder_q.{name}": tensor for name, tensor in weights.items()}, tmp_path / "a")
    _, model = load_pretrained(None, config, demo_root, NARROW, init=str(tmp_path / "a"))
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.backbone.state_dict().items())
    with pytest.raises(ValueError, match=r"epoch_1\.pth and --init a both specify weights"):
        load_pretrained("epoch_1.pth", config, init="a")
