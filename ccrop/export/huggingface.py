"""A backbone as a folder of the Hugging Face hub, which timm and transformers load: one of timm's networks."""

import json
import shutil
from pathlib import Path
from typing import Any

import timm
from timm.models import save_for_hf
from torch import Tensor

from ccrop.backbones import TimmBackbone
from ccrop.checkpoint import Normalization
from ccrop.files import new_folder, write_json

ORIGIN = ("tag", "license", "origin_url", "paper_ids")  # where timm's own weights of the network come from


def write_huggingface(
    name: str,
    settings: dict[str, Any],
    weights: dict[str, Tensor],
    normalization: Normalization | None,
    out: Path,
) -> None:
    """Write ``config.json`` and ``model.safetensors`` of a network without its classifier.

    The config says how to prepare images, not where timm's own weights come from, which these are not.

    Args:
        name, settings: of :class:`ccrop.backbones.TimmBackbone`.
        weights: under timm's names.
        normalization: of the images that the weights expect; default: that of timm's own weights.

    Raises:
        FileExistsError: the path exists.
        ValueError: the weights are not those of the network.
    """
    network = TimmBackbone(name, **settings).network
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"the weights are not those of timm's {name} of timm {timm.__version__}: {error}") from error
    arguments = {("in_chans" if key == "in_channels" else key): value for key, value in settings.items()}
    expected = {} if normalization is None else dict(mean=normalization.mean, std=normalization.std)
    with new_folder(out) as folder:
        save_for_hf(
            network,
            str(folder),
            model_config=dict(pretrained_cfg=expected),
            model_args=arguments,
            safe_serialization=True,
        )
        config = json.loads((folder / "config.json").read_text())
        config.get("model_args", {}).pop("num_classes", None)  # transformers passes it beside model_args
        for key in ORIGIN:
            config["pretrained_cfg"].pop(key, None)
        write_json(folder / "config.json", config, indent=2)
        shutil.copymode(folder / "config.json", folder / "model.safetensors")  # safetensors makes it private
