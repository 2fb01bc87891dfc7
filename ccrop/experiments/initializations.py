"""What pretraining gains for a detector: initializations x label fractions x seeds."""

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

from mmengine.config import Config

from ccrop.checkpoint import RANDOM, is_library
from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.compute import fit_to_budget
from ccrop.config import load_config
from ccrop.experiments.pretrainings import pretrained, settings_of
from ccrop.experiments.rows import OPTIONS, Row, listed
from ccrop.experiments.schema import Schema
from ccrop.experiments.sources import CLUSTERS, RANDOM_LONG, check_source, is_config, named_sources
from ccrop.experiments.steps import step
from ccrop.resume_check import training_settings
from ccrop.transfer.finetuning import (
    CORE_SECONDS,
    IMAGENET,
    LR_FACTORS,
    Transfer,
    set_iterations,
    set_learning_rate,
    step_tflop,
)

COST = ("lr", "backbone_lr", "iterations", "tflop", "pretraining_tflop", "seconds", CORE_SECONDS)


def schema_of(transfer: Transfer) -> Schema:
    """The schema of the rows of a project's detectors."""
    return Schema(
        key=("data", "labels", "arm", "seed"),
        columns=(*COST, *transfer.metrics),
        shown={name: name for name in transfer.shown},
        goals=lambda rows: (transfer.compared(lambda name: any(row[name] for row in rows)),),
        references=transfer.references,
        axis=f"labeled {transfer.examples}, %",
        condition_title="{:g}% of the labels",
        interval=transfer.interval,
    )


@dataclass
class InitializationStudy:
    """Initializations of a detector, each with its own learning rate, chosen by the goal on held-out labeled data.

    Args:
        transfer: of the project.
        detector: a detector's config.
        data_root: of a set whose train and val splits are annotated.
        work_dirs: folder of the runs, see :meth:`.Schema.folder`, of pretraining runs and of learning-rate searches.
        pretrain: ``[NAME=]SOURCE``, arms besides the random ones: a pretraining config, which is run here
            once per seed on all training data without labels; a source of weights, in which {seed} stands for the seed;
            or ``clusters:OTHER``, a detector trained on the clusters that the pretraining OTHER stored.
        imagenet: weights of the arm ``imagenet``, instead of those in the detector's config.
        labels: fractions of the labels.
        seeds: of the runs; learning rates are chosen with the first.
        tflop: budget of a pretraining, 10^12 operations; for existing weights, their cost.
        iterations: of fine-tuning; default: the config's.
        only: names of the arms to run; default: all.
        long: include an arm ``random_long``.
        lr_factors: of the config's learning rate, to choose from.
        backbone_factors: of each of these rates, only for the backbone.
        lr_labels: fraction of the labels for choosing learning rates.
        options: dotted keys and values over those of the detector's config.

    Raises:
        FileNotFoundError, ccrop.datasets.MissingData: the config, the data or a checkpoint does not exist.
        ConnectionError: see :func:`.sources.check_source`.
        ValueError: two arms have the same name, or an unknown one is requested.
    """

    transfer: Transfer
    detector: str
    data_root: str
    work_dirs: Path
    pretrain: Sequence[str] = ()
    imagenet: str | None = None
    labels: Sequence[float] = ()
    seeds: Sequence[int] = (0, 1, 2)
    tflop: float = 5
    iterations: int | None = None
    only: Sequence[str] = ()
    long: bool = True
    lr_factors: Sequence[float] = LR_FACTORS
    backbone_factors: Sequence[float] = (1.0,)
    lr_labels: float = 0.1
    options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self.schema = schema_of(self.transfer)
        self.data = self.transfer.data_name(Path(self.data_root))
        self.config = self.transfer.load_config(self.detector, self.data_root, self.options)
        if self.iterations is not None:
            set_iterations(self.config, self.iterations)
        self.sources = named_sources(self.pretrain, self.imagenet or self.config.get("imagenet"))
        self.arms = self._chosen_arms()
        for arm, seed in product(self.arms, self.seeds):
            check_source(self.sources, arm, seed, self.data_root)
        if IMAGENET in self.transfer.references and IMAGENET not in self.sources:
            print(
                f"No row {IMAGENET}: pass weights of the detector's backbone with --imagenet FILE, timm:NAME or "
                "torchvision:NAME"
            )

    def runs(self) -> Iterator[Row]:
        for fraction, seed, arm in product(self.labels or self.transfer.labels, self.seeds, self.arms):
            yield dict(data=self.data, labels=f"{fraction:g}", arm=arm, seed=str(seed))

    def settings(self, run: Row) -> dict[str, Any]:
        arm = run["arm"]
        source = self.sources.get(arm, RANDOM)
        unknown = arm == IMAGENET or is_library(source)
        return dict(
            iterations=self._config_of(arm).train_cfg.max_iters,
            pretraining_tflop=0.0 if source == RANDOM else "" if unknown else self.tflop,
        ) | {OPTIONS: listed(self._options(arm))}

    def measure(self, run: Row) -> dict[str, Any]:
        arm, seed = run["arm"], int(run["seed"])
        config = self._config_of(arm)
        lr, backbone_lr = self._learning_rate(arm)
        set_learning_rate(config, lr, backbone_lr)
        source = self._init(arm, seed)
        folder = self.schema.folder(self.work_dirs, run)

        def work() -> dict[str, Any]:
            begun = latest_checkpoint(folder) is not None
            start = perf_counter()
            metrics = self.transfer.finetune(config, source, folder, float(run["labels"]), seed, resume="auto")
            return metrics if begun else metrics | dict(seconds=round(perf_counter() - start))

        metrics = step(folder, self._step_settings(arm, config, source), work)
        measured = {name: metrics[name] for name in self.transfer.metrics if name in metrics}
        return dict(
            lr=lr,
            backbone_lr=round(lr * backbone_lr, 6),
            tflop=round(self._step_tflop * config.train_cfg.max_iters, 3),
            seconds=metrics.get("seconds", ""),
            core_seconds=round(metrics[CORE_SECONDS]),
        ) | {name: round(value, 5) for name, value in measured.items() if value == value}

    @cached_property
    def _step_tflop(self) -> float:
        return step_tflop(self.config)

    def _chosen_arms(self) -> list[str]:
        known = [RANDOM, *([RANDOM_LONG] if self.long else []), *self.sources]
        if unknown := [arm for arm in self.only if arm not in known]:
            raise ValueError(f"--arms {' '.join(unknown)}: unknown arm; the arms are {', '.join(known)}")
        return [arm for arm in known if not self.only or arm in self.only]

    def _config_of(self, arm: str) -> Config:
        """The detector's config, before its learning rate is set."""
        config = copy.deepcopy(self.config)
        if arm == RANDOM_LONG:
            set_iterations(config, config.train_cfg.max_iters + round(self.tflop / self._step_tflop))
        return config

    def _options(self, arm: str) -> dict[str, Any]:
        """What a row of an arm depends on besides its key and its other columns."""
        options = dict(self.options or {}) | dict(
            config=Path(self.detector).stem,
            lr_factors=_joined(self.lr_factors),
            backbone_lr=_joined(self.backbone_factors),
        )
        if self._searches:
            options["lr_labels"] = self.lr_labels
        if arm in self.sources:
            options["init"] = self.sources[arm]
        return options

    def _step_settings(self, arm: str, config: Config, source: str) -> dict[str, Any]:
        """Everything that training the detector from a source depends on, except its seed and labels."""
        settings = self._options(arm) | training_settings(config)
        settings |= dict(iterations=config.train_cfg.max_iters, data_root=str(Path(self.data_root).resolve()))
        if Path(source).is_file():
            settings["weights"] = hashlib.sha256(Path(source).read_bytes()).hexdigest()
        return settings

    @property
    def _searches(self) -> bool:
        return len(self.lr_factors) * len(self.backbone_factors) > 1

    def _learning_rate(self, arm: str) -> tuple[float, float]:
        """An initialization's rate and the backbone's multiple of it, searched once, with the first seed."""
        arm = RANDOM if arm == RANDOM_LONG else arm
        if not self._searches:
            return self.lr_factors[0] * self.config.optim_wrapper.optimizer.lr, self.backbone_factors[0]
        seed = self.seeds[0]
        source = self._init(arm, seed)
        folder = self.work_dirs / self.data / "lr" / arm

        def work() -> tuple[float, float]:
            return self.transfer.search_learning_rate(
                self.config,
                source,
                folder,
                self.lr_factors,
                self.backbone_factors,
                self.lr_labels,
                seed,
                resume=True,
            )

        rate, backbone = step(folder, self._step_settings(arm, self.config, source) | dict(seed=seed), work)
        return rate, backbone

    def _init(self, arm: str, seed: int) -> str:
        """What an arm's fine-tuning takes as init, pretrained first if necessary."""
        source = self.sources.get(arm, RANDOM)
        if source.startswith(CLUSTERS):
            return self._detector_of_clusters(arm, source.removeprefix(CLUSTERS), seed)
        if not is_config(source):
            return source.replace("{seed}", str(seed))
        config = load_config(source, self.data_root)
        folder = self._pretraining_folder(arm, seed)

        def work() -> str:
            fit_to_budget(config, self.tflop)
            pretrained(config, folder, seed)
            return _final_checkpoint(folder)

        return step(folder, settings_of(config, seed) | dict(tflop=self.tflop), work)

    def _detector_of_clusters(self, arm: str, other: str, seed: int) -> str:
        """A detector trained on the clusters of a pretraining, for as many operations as that one cost."""
        stored = self._init(other, seed)
        config = copy.deepcopy(self.config)
        set_iterations(config, max(1, round(self.tflop / self._step_tflop)))
        folder = self._pretraining_folder(arm, seed)

        def work() -> str:
            self.transfer.use_pseudo_boxes(config, stored, folder)
            self.transfer.finetune(config, RANDOM, folder, seed=seed, resume="auto")
            return _final_checkpoint(folder)

        return step(folder, self._step_settings(arm, config, stored) | dict(seed=seed), work)

    def _pretraining_folder(self, arm: str, seed: int) -> Path:
        return self.work_dirs / self.data / "pretraining" / f"{arm}_{seed}"


def _final_checkpoint(folder: Path) -> str:
    """Of a finished run."""
    checkpoint = latest_checkpoint(folder)
    assert checkpoint is not None
    return checkpoint


def _joined(factors: Sequence[float]) -> str:
    return ",".join(f"{factor:g}" for factor in factors)
