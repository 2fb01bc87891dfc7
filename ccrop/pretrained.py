"""The model of a pretraining run, to be evaluated: trained, or as it starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS

from ccrop.checkpoint import load_start, require_finite, starting_weights
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.config import load_config
from ccrop.models import Siamese
from ccrop.runner import expect


def load_pretrained(
    checkpoint: str | Path | None,
    config: str | Path | None = None,
    data_root: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    init: str | None = None,
    backbone: str | None = None,
) -> tuple[Config, Siamese]:
    """The config of a pretraining run and its model in eval mode, on the CPU.

    Args:
        checkpoint: of the run; None for the weights that a run with ``seed`` and ``init`` starts from.
        config: its path; default: the one in the checkpoint.
        data_root, options, backbone: see :func:`ccrop.config.load_config`.
        init: see :func:`ccrop.checkpoint.starting_weights`.

    Raises:
        FileNotFoundError: there is no such checkpoint or config.
        MissingData: see :func:`ccrop.config.load_config`.
        UntrustedCheckpoint: see :func:`ccrop.compat.safe_checkpoint.load_checkpoint`.
        ValueError: neither is given, the checkpoint belongs to another model than the config's, or weights do not fit,
            or see :func:`ccrop.checkpoint.require_finite`.
    """
    if checkpoint is not None and init is not None:
        raise ValueError(f"{checkpoint} and --init {init} both specify weights: pass one of them")
    state = None if checkpoint is None else load_checkpoint(checkpoint)
    source = checkpoint if config is None else config
    if source is None:
        raise ValueError("pass a checkpoint, or a config for the weights that a run starts from")
    config_file = Path(source)
    settings = load_config(config_file, data_root, options, backbone)
    weights = starting_weights(settings, init) if state is None else None
    if weights is not None:
        expect(settings, weights.normalization)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = MODELS.build(settings.model)
        if state is None:
            logger = MMLogger.get_current_instance()
            level = logger.level
            logger.setLevel("WARNING")  # it would list every parameter
            model.init_weights()
            if weights is not None:
                load_start(model, weights)
                model.weights_changed()
            logger.setLevel(level)
            return settings, model.eval()
    try:
        model.load_state_dict(state["state_dict"])
    except (KeyError, RuntimeError) as error:
        advice = (
            "pass the config of its run with --config"
            if config is None
            else "the config needs the model of its run, what --cfg-options changed included"
        )
        raise ValueError(f"{checkpoint} is not a checkpoint of a run with {config_file}: {advice}") from error
    require_finite(str(checkpoint), state["state_dict"])
    return settings, model.eval()
