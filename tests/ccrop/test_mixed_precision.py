import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, build_optim_wrapper
from torch import nn

from ccrop import mixed_precision
from ccrop.mixed_precision import AutocastOptimWrapper, require_gpu_for_fp16


def test_loss_is_computed_in_bfloat16_and_weights_stay_float32(monkeypatch):
    monkeypatch.setattr(mixed_precision, "cpu_has_bf16", lambda: True)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    optimizer = dict(type=torch.optim.SGD, lr=0.1)
    wrapper = build_optim_wrapper(model, dict(type=AutocastOptimWrapper, dtype="bfloat16", optimizer=optimizer))
    seen = []
    for layer in model:
        layer.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    images = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    with wrapper.optim_context(model):
        loss = model(images).float().square().mean()
    assert seen == [torch.bfloat16] * 3
    assert model(images).dtype == torch.float32
    exact = model(images).square().mean().item()
    assert loss.item() != exact
    assert loss.item() == pytest.approx(exact, rel=0.05)
    wrapper.update_params(loss)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model(images).square().mean() < exact


def test_cpu_without_bfloat16_computes_in_float32(monkeypatch):
    monkeypatch.setattr(mixed_precision, "cpu_has_bf16", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = nn.Linear(4, 3)
    wrapper = AutocastOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    with wrapper.optim_context(model):
        assert model(torch.ones(2, 4)).dtype == torch.float32
    assert wrapper.cast_dtype is None


def test_autocast_refuses_what_needs_loss_scaling():
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    with pytest.raises(ValueError, match="'float16'; for fp16 use MMEngine's AmpOptimWrapper"):
        AutocastOptimWrapper(dtype="float16", optimizer=optimizer)


@pytest.mark.parametrize("kind", ["AmpOptimWrapper", AmpOptimWrapper])
def test_fp16_without_a_gpu_is_refused(kind: str | type, monkeypatch: pytest.MonkeyPatch):
    config = Config(dict(optim_wrapper=dict(type=kind)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="AmpOptimWrapper needs a GPU; --amp bf16 runs on the CPU too"):
        require_gpu_for_fp16(config)
    require_gpu_for_fp16(Config(dict(optim_wrapper=dict(type="OptimWrapper"))))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    require_gpu_for_fp16(config)
