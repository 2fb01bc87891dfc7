"""Fine-tuning, as far as it does not depend on the detector: runner, schedule, learning rate and cost."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from torch.utils.flop_counter import FlopCounterMode

from ccrop.compat.checkpoint import install_safe_checkpoints
from ccrop.runner import BriefRunner
from ccrop.transfer.backbone import RANDOM, BackboneInitHook

LR_FACTORS = (0.5, 1.0, 2.0)  # of the config's learning rate
HELD_OUT = 0.2  # of the labelled examples, to choose a learning rate by


@dataclass(frozen=True)
class Transfer:
    """What a project's fine-tuning offers to tools/finetune.py and to comparisons.

    Attributes:
        load_config: ``(path, data_root, options, backbone)``; reads a config, for a data root, with options over it
            and another backbone in its place unless that is None, and settles its data.
        finetune: ``(config, init, work_dir, labels, seed, held_out)``; trains, tests and gives the figures. Where
            ``held_out`` is not 0, this part of the labelled examples is tested on in place of the val split.
        use_clusters: ``(config, checkpoint, folder[, max_clusters])``; puts the clusters of a pretraining in place of
            the labels, so that a detector of one category learns them.
        goal: the figure that learning rates are chosen by and initialisations compared by.
        fallback: the figure that is taken where no object counts for the goal.
        figures: all that a comparison keeps; in [0, 1] where they are shares.
        shown: those in its tables, in [0, 1].
        examples: what labels are shares of.
        references: the initialisations to which tables give differences.
        data_name: of a data root, for tables and titles.
        line: the last line of a run, of its figures and the data's name.
    """

    load_config: Callable[..., Config]
    finetune: Callable[..., dict[str, float]]
    use_clusters: Callable[..., None]
    goal: str
    figures: tuple[str, ...]
    shown: tuple[str, ...]
    fallback: str | None = None
    examples: str = "images"
    references: tuple[str, ...] = (RANDOM,)
    data_name: Callable[[Path], str] = lambda root: root.resolve().name
    line: Callable[[dict[str, float], str], str] = lambda figures, _: "  ".join(
        f"{name} {value:.2%}" for name, value in figures.items()
    )

    def search_learning_rate(
        self,
        config: Config,
        init: str,
        work_dir: str | Path,
        factors: Sequence[float] = LR_FACTORS,
        backbone_factors: Sequence[float] = (1.0,),
        labels: float = 1.0,
        seed: int = 0,
    ) -> tuple[float, float]:
        """The learning rate with the best goal on held-out labelled examples, and the backbone's multiple of it.

        One rate for all favours one initialisation, so each gets its own; the val split is not looked at.

        Args:
            config: stays as it is.
            factors: of the config's learning rate.
            backbone_factors: of each of these rates, for the backbone alone.
        """
        base = config.optim_wrapper.optimizer.lr
        found = {}
        for rate, backbone in product([base * factor for factor in factors], backbone_factors):
            own = copy.deepcopy(config)
            set_learning_rate(own, rate, backbone)
            figures = self.finetune(own, init, Path(work_dir, f"lr_{rate:g}_{backbone:g}"), labels, seed, HELD_OUT)
            goal = figures[self.goal]
            found[rate, backbone] = figures[self.fallback] if goal != goal and self.fallback else goal
        best = max(found, key=lambda rates: (found[rates] == found[rates], found[rates]))
        listed = ", ".join(f"{rate:g} x {backbone:g}: {figure:.2%}" for (rate, backbone), figure in found.items())
        MMLogger.get_current_instance().info(
            f"{self.goal} on held-out {self.examples} by learning rate x the backbone's part: {listed}; "
            f"taking {best[0]:g} x {best[1]:g}"
        )
        return best


def build_runner(
    config: Config,
    init: str,
    work_dir: str | Path,
    seed: int,
    hook: type[BackboneInitHook],
    trained_on: str,
) -> BriefRunner:
    """A runner that loads the backbone when it begins.

    Args:
        config: its headline, hooks, seed and work_dir are set here.
        init: see :class:`.BackboneInitHook`.
        hook: that class or a subclass; the config keeps its name, so that it can be written and read again.
        trained_on: which examples, for the log.
    """
    install_safe_checkpoints()
    name = f"{hook.__module__}.{hook.__name__}"
    config.custom_hooks = [*config.get("custom_hooks", []), dict(type=name, init=str(init))]
    config.work_dir = str(work_dir)
    config.randomness.seed = seed
    config.headline += f", backbone {init}, trained on {trained_on}"
    torch.manual_seed(seed)
    return BriefRunner.from_cfg(config)


def set_learning_rate(config: Config, lr: float, backbone: float = 1.0) -> None:
    """Train with a rate, and the backbone with a multiple of it.

    A pretrained backbone and a new head ask for different rates: what is right for the head may overwrite the backbone.
    """
    config.optim_wrapper.optimizer.lr = lr
    if backbone != 1:
        config.merge_from_dict({"optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult": backbone})


def set_iterations(config: Config, iterations: int) -> None:
    """Train for so many iterations, and stretch the learning rate's schedule by as much."""
    factor = iterations / config.train_cfg.max_iters
    config.train_cfg.update(max_iters=iterations, val_interval=iterations + 1)
    for scheduler in config.param_scheduler:
        scheduler.begin = round(factor * scheduler.begin)
        if "end" in scheduler:
            scheduler.end = max(round(factor * scheduler.end), scheduler.begin + 1)
        if "milestones" in scheduler:
            scheduler.milestones = [round(factor * milestone) for milestone in scheduler.milestones]


def step_tflop(config: Config) -> float:
    """10^12 floating-point operations of one training step, forward and backward; spconv's are not counted."""
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(copy.deepcopy(config.model))
        loader = BriefRunner.build_dataloader(
            copy.deepcopy(config.train_dataloader) | dict(num_workers=0, persistent_workers=False)
        )
        batch = model.data_preprocessor(next(iter(loader)), training=True)
        with FlopCounterMode(display=False) as counter:
            model.parse_losses(model(**batch, mode="loss"))[0].backward()
    return counter.get_total_flops() / 1e12
