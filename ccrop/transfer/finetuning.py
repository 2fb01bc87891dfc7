"""The detector-independent part of fine-tuning: runner, schedule, learning rate and cost."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from mmengine.config import Config
from mmengine.dist import broadcast, broadcast_object_list, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODELS, OPTIM_WRAPPERS, DefaultScope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ccrop.checkpoint import RANDOM, Normalization
from ccrop.compat.config_text import install_config_text
from ccrop.compat.distributed import init_distributed
from ccrop.compat.safe_checkpoint import install_safe_checkpoints
from ccrop.compat.workers import stop_workers
from ccrop.failures import test_accidents_explained
from ccrop.files import write_json
from ccrop.hooks.batch_memory import BatchMemoryHook
from ccrop.hooks.divergence import DivergedError, DivergenceHook
from ccrop.hooks.finetuning_notes import FinetuningHook
from ccrop.hooks.load_weights import StartHook
from ccrop.hooks.validation import ValidationHook
from ccrop.mixed_precision import AutocastOptimWrapper, has_bf16, require_gpu_for_fp16
from ccrop.runner import BriefRunner
from ccrop.transfer.starting_point import Start, notes_on, resume_changed
from ccrop.work_dir import METRICS

if TYPE_CHECKING:
    from ccrop.report.predictions import Findings

LR_FACTORS = (0.5, 1.0, 2.0)  # of the config's learning rate
IMAGENET = "imagenet"  # the arm that starts from weights of ImageNet
CORE_SECONDS = "core_seconds"  # key of the training cost in a run's metrics
HELD_OUT = 0.2  # of the labeled examples, to choose a learning rate by


@dataclass(frozen=True)
class Transfer:
    """What a project's fine-tuning offers to tools/finetune.py and to comparisons.

    Attributes:
        load_config: ``(path, data_root, options, backbone, labeled)``; reads a config, for a data root, with options
            over it and another backbone in its place unless that is None, and settles its data, of which a set that is
            not ``labeled`` needs no annotations.
        finetune: ``(config, init, work_dir, labels, seed, held_out, resume, val_interval, allow_changes)``; trains,
            tests and returns the metrics, and the training's :data:`CORE_SECONDS`. Where ``held_out`` is not 0, this
            part of the labeled examples is tested on instead of the val split. ``resume`` resumes from a checkpoint,
            or the newest of the work_dir where it is ``'auto'``; ``val_interval`` iterations apart, the detector is
            tested while it trains; ``allow_changes`` resumes with other settings and data than the checkpoint's, and
            None, the default, is for callers that cannot allow it.
        use_pseudo_boxes: ``(config, source, folder[, max_boxes])``; puts pseudo-boxes, such as the clusters of a
            pretraining's checkpoint, instead of the labels, so that a detector of one category learns them.
        goal: the metric that learning rates are chosen by and initializations compared by.
        fallbacks: the metrics that replace it, the first that was measured, if no object counts for the goal.
        metrics: all metrics that a comparison keeps; in [0, 1] if they are fractions.
        shown: those in its tables, in [0, 1].
        examples: what labels are fractions of.
        references: the initializations to which tables give differences.
        labels: the fractions of the labels that a comparison uses by default.
        data_name: of a data root, for tables and titles.
        line: the last line of a run, from its metrics and the data's name.
        interval: ``(metric, own, other)``; the 95 % interval, low and high, of the difference of a metric between runs
            in two lists of work_dirs, over the choice of tested examples; None if they lack the required files.
        read_found: of the file that a run keeps for this, what its report draws; images need none.
    """

    load_config: Callable[..., Config]
    finetune: Callable[..., dict[str, float]]
    use_pseudo_boxes: Callable[..., None]
    goal: str
    metrics: tuple[str, ...]
    shown: tuple[str, ...]
    fallbacks: tuple[str, ...] = ()
    examples: str = "images"
    references: tuple[str, ...] = (RANDOM,)
    labels: tuple[float, ...] = (0.01, 0.1, 1.0)
    data_name: Callable[[Path], str] = lambda root: root.resolve().name
    line: Callable[[dict[str, float], str], str] = lambda metrics, _: "  ".join(
        f"{name} {value:.2%}" for name, value in metrics.items()
    )
    interval: Callable[[str, Sequence[Path], Sequence[Path]], tuple[float, float] | None] = lambda *_: None
    read_found: "Callable[[Path], Findings | None]" = lambda _: None

    def compared(self, measured: Callable[[str], bool]) -> str:
        """The goal, or the first of its fallbacks if only that was measured."""
        return next(filter(measured, (self.goal, *self.fallbacks)), self.goal)

    def search_learning_rate(
        self,
        config: Config,
        init: str,
        work_dir: str | Path,
        factors: Sequence[float] = LR_FACTORS,
        backbone_factors: Sequence[float] = (1.0,),
        labels: float = 1.0,
        seed: int = 0,
        resume: bool = False,
    ) -> tuple[float, float]:
        """The learning rate with the best goal on held-out labeled examples, and the backbone's multiple of it.

        A common rate would favor one initialization, so each gets its own; the val split is not used.

        Args:
            config: stays as it is.
            factors: of the config's learning rate.
            backbone_factors: of each of these rates, only for the backbone.
            resume: continue with an unfinished search; finished training runs are only tested again.

        Raises:
            DivergedError: training diverged at every rate; at some, these are left out.
        """
        base = config.optim_wrapper.optimizer.lr
        metrics = {}
        diverged = None
        for rate, backbone in product([base * factor for factor in factors], backbone_factors):
            own = copy.deepcopy(config)
            set_learning_rate(own, rate, backbone)
            folder = Path(work_dir, f"lr_{rate:g}_{backbone:g}")
            try:
                metrics[rate, backbone] = self.finetune(
                    own, init, folder, labels, seed, HELD_OUT, "auto" if resume else None
                )
            except DivergedError as error:
                diverged = error
                MMLogger.get_current_instance().warning(f"learning rate {rate:g} x {backbone:g} left out: {error}")
        if diverged is not None and not metrics:
            raise diverged
        goal = self.compared(lambda name: any(each[name] == each[name] for each in metrics.values()))
        found = {rates: each[goal] for rates, each in metrics.items()}
        chosen = [max(found, key=lambda rates: (found[rates] == found[rates], found[rates]))]
        broadcast_object_list(chosen)
        best = chosen[0]
        listed = ", ".join(f"{rate:g} x {backbone:g}: {metric:.2%}" for (rate, backbone), metric in found.items())
        MMLogger.get_current_instance().info(
            f"{goal} on held-out {self.examples} by learning rate x the backbone's fraction: {listed}; "
            f"chose {best[0]:g} x {best[1]:g}"
        )
        return best


def join_processes(config: Config, launcher: str) -> None:
    """Join the processes that a launcher started, so that they train one detector together.

    The config's batch size is that of each process. Its learning rate grows with their number if it has an
    ``auto_scale_lr``.

    Args:
        launcher: ``'none'`` for one process, or see :func:`ccrop.compat.distributed.init_distributed`.

    Raises:
        ValueError: see there.
    """
    if launcher == "none":
        return
    init_distributed(launcher, config.env_cfg.dist_cfg)
    config.launcher = launcher
    config.find_unused_parameters = True  # frozen stages, and heads without a positive example
    if not torch.cuda.is_available():
        config.model_wrapper_cfg = dict(type=MMDistributedDataParallel, device_ids=None, find_unused_parameters=True)


def build_runner(
    config: Config,
    start: Start,
    normalization: Normalization | None,
    work_dir: str | Path,
    seed: int,
    trained_on: str,
) -> BriefRunner:
    """A runner that loads the backbone when it starts, or continues an unfinished run.

    Args:
        config: of :func:`ccrop.transfer.starting_point.start_of`; its headline, seed and work_dir are set here.
        start: what that gave.
        normalization: of the images, see :class:`ccrop.hooks.StartHook`.
        trained_on: which examples, for the log.

    Raises:
        ValueError: the resumed run had other settings, or the precision needs a GPU.
    """
    install_safe_checkpoints()
    install_config_text()
    require_gpu_for_fp16(config)
    config.work_dir = str(work_dir)
    config.randomness.seed = seed
    notes = notes_on(config, trained_on)
    changes = None
    if start.checkpoint is not None:
        changes = resume_changed(config, start, notes["settings"])
        if config.train_dataloader.get("batch_sampler"):  # MMEngine would load all earlier batches to find the next
            config.train_cfg.fast_forward_on_resume = True
            config.train_dataloader.sampler.seed = seed + start.iteration
    kind = config.optim_wrapper.type
    kind = OPTIM_WRAPPERS.get(kind) if isinstance(kind, str) else kind
    if kind is AutocastOptimWrapper and config.get("test_cfg"):
        config.test_cfg.fp16 = has_bf16()  # MMEngine's name for autocast, whatever its type
        torch.set_autocast_dtype("cuda", torch.bfloat16)
    examples = trained_on.replace("labeled ", "") if "instead of labels" in config.headline else trained_on
    config.headline += f", backbone {config.init}, trained on {examples}"
    torch.manual_seed(seed)
    runner = BriefRunner.from_cfg(config)
    runner.register_hook(StartHook(start.weights, normalization))
    if changes is not None:
        runner.logger.warning(changes)
    runner.register_hook(FinetuningHook(notes, start.changes_allowed))
    runner.register_hook(BatchMemoryHook())
    runner.register_hook(DivergenceHook())
    for key in unmatched_keys(config, runner.model):
        runner.logger.warning(
            f"optim_wrapper.paramwise_cfg.custom_keys.{key} has no effect: no parameter's name contains {key}"
        )
    return runner


def unmatched_keys(config: Config, model: nn.Module) -> list[str]:
    """Parts of parameters' names that have settings of their own, and are in no name."""
    names = [name for name, _ in model.named_parameters()]
    custom = (config.optim_wrapper.get("paramwise_cfg") or {}).get("custom_keys") or {}
    return [key for key in custom if not any(key in name for name in names)]


def train_and_test(
    runner: BriefRunner,
    test: Callable[[], dict[str, float]] | None,
    line: Callable[[dict[str, float]], str],
    val_interval: int | None = None,
) -> dict[str, float]:
    """Train and test a detector, and write ``metrics.json``, which marks a finished run.

    All processes then have the BN statistics of the first one, whose checkpoint is kept.

    Args:
        test: measures the detector; None if there is nothing to test on.
        line: the metrics in a line of the log.
        val_interval: also test after every this many iterations.

    Returns:
        The metrics, and the CPU seconds of the training, including the loader's workers, the tests at an interval and
        the time before resuming.

    Raises:
        ValueError: there is an interval, but nothing to test on.
    """
    if val_interval is not None:
        if test is None:
            raise ValueError("--val-interval needs a val split with annotations, and this data set has none")
        runner.register_hook(ValidationHook(val_interval, lambda: line(test())))
    runner.train()
    for buffer in runner.model.buffers():
        broadcast(buffer)
    stop_workers(runner.train_dataloader)
    spent = next(hook for hook in runner.hooks if isinstance(hook, FinetuningHook)).spent
    with test_accidents_explained(runner):
        tested = {} if test is None else test()
    metrics = {CORE_SECONDS: spent} | {name: float(value) for name, value in tested.items()}
    if is_main_process():
        write_json(Path(runner.work_dir, METRICS), metrics, indent=1)
    return metrics


def set_learning_rate(config: Config, lr: float, backbone: float = 1.0) -> None:
    """Train with a rate, and the backbone with a multiple of it.

    A pretrained backbone and a new head need different rates: what suits the head may overwrite the backbone.
    """
    config.optim_wrapper.optimizer.lr = lr
    if backbone != 1:
        config.merge_from_dict({"optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult": backbone})


def set_iterations(config: Config, iterations: int) -> None:
    """Train for this many iterations, and stretch the learning-rate schedule accordingly.

    Raises:
        ValueError: there is less than one iteration.
    """
    if iterations < 1:
        raise ValueError(f"a detector must train for at least one iteration, got {iterations}")
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
