"""Pretrained weights of timm and torchvision, without a network."""

import time
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
import torchvision
from huggingface_hub import constants

from ccrop.checkpoint import is_library, read_weights
from ccrop.checkpoint.downloads import hub_within_reach, is_reachable

NOWHERE = "http://127.0.0.1:9"  # the port of the discard service, where nobody listens


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No way out, and empty caches."""
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, NOWHERE)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path


def test_a_source_is_a_library_or_a_file():
    assert is_library("timm:resnet18")
    assert is_library("torchvision:resnet18")
    assert not any(map(is_library, ("resnet18", "a/timm/x.pth", "random", "C:/x.pth")))


@pytest.mark.parametrize("source", ["timm:resnet18", "torchvision:resnet18"])
def test_without_a_connection_an_error_says_what_to_do_at_once(
    source: str, offline: Path, monkeypatch: pytest.MonkeyPatch
):
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with pytest.raises(ConnectionError, match=rf"weights {source} are not in {offline}\S* and could not be") as raised:
        read_weights(source)
    assert not waited  # the hub would try again and again
    assert "pass the file" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("timm:resnet19", "timm has no model 'resnet19'"),
        ("timm:efficientnet_l2", "timm has no pretrained weights of efficientnet_l2"),
        ("torchvision:resnet19", "torchvision has no classifier 'resnet19'"),
        ("torchvision:resnet50.V3", "no weights V3 of resnet50: it has IMAGENET1K_V1, IMAGENET1K_V2"),
    ],
)
def test_weights_that_do_not_exist_are_named(source: str, message: str):
    with pytest.raises(ValueError, match=message):
        read_weights(source)


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("resnet18", "resnet18-f37072fd.pth"),
        ("resnet50", "resnet50-11ad3fa6.pth"),
        ("resnet50.IMAGENET1K_V1", "resnet50-0676ba61.pth"),
    ],
)
def test_weights_in_torchvisions_cache(source: str, url: str, monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    state = torchvision.models.resnet18().state_dict()
    asked = {}

    def cached(url: str, **options: object) -> dict[str, torch.Tensor]:
        asked.update(options, url=url)
        return state

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", cached)
    weights = read_weights(f"torchvision:{source}")
    assert (asked["weights_only"], asked["check_hash"]) == (True, True)
    assert asked["url"].endswith(url)
    assert weights.backbone.keys() == state.keys()
    assert weights.normalization == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_weights_in_timms_cache(offline: Path, monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(0)
    network = timm.create_model("vit_tiny_patch16_224")
    torch.save(network.state_dict(), offline / "vit.bin")

    def cached(repo_id: str, filename: str, **_: object) -> str:
        assert constants.HF_HUB_OFFLINE
        if filename.endswith(".safetensors"):
            raise huggingface_hub.errors.EntryNotFoundError(filename)
        return str(offline / "vit.bin")

    monkeypatch.setattr(timm.models._hub, "hf_hub_download", cached)
    weights = read_weights("timm:vit_tiny_patch16_224")
    assert all(torch.equal(weights.backbone[name], tensor) for name, tensor in network.state_dict().items())
    assert weights.normalization == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_the_hub_is_left_as_it_was(offline: Path):
    assert not is_reachable(NOWHERE)
    before = constants.HF_HUB_OFFLINE
    with hub_within_reach():
        assert constants.HF_HUB_OFFLINE
    assert before == constants.HF_HUB_OFFLINE
