"""Pretraining runs at equal compute, measured without a detector: configs x seeds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Protocol

import torch
from mmengine.config import Config

from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.compute import fit_to_budget, step_cost
from ccrop.config import load_config
from ccrop.datasets import ImageDataset
from ccrop.experiments.rows import OPTIONS, Row, listed
from ccrop.experiments.schema import Schema
from ccrop.experiments.steps import step
from ccrop.models import Siamese
from ccrop.pretrained import load_pretrained
from ccrop.resume_check import pretraining_settings
from ccrop.runner import PretrainRunner, build_runner

UNTRAINED = "untrained"  # instead of a config: the weights that the runs start from
COMMON = ("epochs", "tflop", "seconds", "loss", "z_std", "rank", "boxes")
SCALARS = ("loss", "z_std", "rank")


class Measure(Protocol):
    """What is measured of a pretraining run; a dataclass, on whose fields its metrics depend.

    Attributes:
        schema: of the rows, see :func:`schema_of`.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def schema(self) -> Schema: ...

    def fits(self, config: Config) -> bool:
        """Whether this measure suits the config's data."""

    def of_model(self, config: Config, model: Siamese) -> dict[str, float]:
        """Metrics of a model in eval mode."""

    def of_dataset(self, dataset: ImageDataset) -> dict[str, float]:
        """Metrics of the training set as the run left it."""


def schema_of(
    columns: Sequence[str],
    shown: Mapping[str, str],
    goals: tuple[str, ...],
    note: Callable[[Sequence[Row]], str] = lambda _: "",
) -> Schema:
    """The schema of pretraining rows, from what a measure adds."""
    return Schema(("data", "arm", "seed"), (*COMMON, *columns), shown, lambda _: goals, note=note)


@dataclass
class PretrainingStudy:
    """Pretraining runs at equal compute, each measured when it is done.

    Args:
        configs: files, or :data:`UNTRAINED`; at least one is a file.
        data_root: of the data set.
        work_dirs: folder of the runs, see :meth:`.Schema.folder`.
        measures: the first one that suits the data is used.
        seeds: of the runs.
        tflop: budget of each run, 10^12 operations of training; localization does not count.
        epochs: of each run, instead of a budget.
        tag: appended to the names of arms, for variants by ``options``.
        options: dotted keys and values over those of the configs.

    Raises:
        FileNotFoundError, ccrop.datasets.MissingData: see :func:`ccrop.config.load_config`.
        ValueError: two arms have the same name, there is no config, or no measure suits the data.
    """

    configs: Sequence[str]
    data_root: str
    work_dirs: Path
    measures: Sequence[Measure]
    seeds: Sequence[int] = (0, 1, 2)
    tflop: float = 5
    epochs: int | None = None
    tag: str = ""
    options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self.arms = {Path(path).stem + self.tag: path for path in self.configs}
        if len(self.arms) < len(self.configs):
            raise ValueError(f"two arms of {', '.join(self.configs)} have the same name: rename a config")
        files = [path for path in self.configs if path != UNTRAINED]
        if not files:
            raise ValueError(f"{UNTRAINED} weights are those that a run starts from: pass at least one config")
        self.start = files[0]
        first, *_ = [load_config(path, self.data_root, self.options) for path in files]
        fitting = [measure for measure in self.measures if measure.fits(first)]
        if not fitting:
            raise ValueError(
                f"{self.data_root} has neither annotated objects in a val split nor classes for the config's kNN"
            )
        self.measured_by = fitting[0]
        self.schema = self.measured_by.schema

    def runs(self) -> Iterator[Row]:
        data = Path(self.data_root).name
        for seed, arm in product(self.seeds, self.arms):
            yield dict(data=data, arm=arm, seed=str(seed))

    def settings(self, run: Row) -> dict[str, Any]:
        options = asdict(self.measured_by) | dict(self.options or {})
        if self.arms[run["arm"]] == UNTRAINED:
            return {OPTIONS: listed(options | dict(config=Path(self.start).stem))}
        if self.epochs is None:
            return {OPTIONS: listed(options | dict(tflop=self.tflop))}
        return {"epochs": self.epochs, OPTIONS: listed(options | dict(epochs=self.epochs))}

    def measure(self, run: Row) -> dict[str, Any]:
        path, seed = self.arms[run["arm"]], int(run["seed"])
        torch.manual_seed(seed)
        if path == UNTRAINED:
            config, model = load_pretrained(None, self.start, self.data_root, self.options, seed)
            return _rounded(self.measured_by.of_model(config, model))
        config = load_config(path, self.data_root, self.options)
        folder = self.schema.folder(self.work_dirs, run)
        return step(
            folder, self.settings(run) | settings_of(config, seed), partial(self._trained, config, folder, seed)
        )

    def _trained(self, config: Config, folder: Path, seed: int) -> dict[str, Any]:
        """Train and measure one run; returns its row, without the seconds if training was interrupted."""
        tflop = fit_to_budget(config, self.tflop) if self.epochs is None else _fit_to_epochs(config, self.epochs)
        begun = latest_checkpoint(folder) is not None
        start = perf_counter()
        runner = pretrained(config, folder, seed)
        row = dict(epochs=runner.max_epochs, tflop=tflop)
        if not begun:
            row["seconds"] = round(perf_counter() - start)
        scalars = runner.message_hub.log_scalars
        row |= {name: float(scalars[f"epoch/{name}"].current()) for name in SCALARS}
        dataset = runner.train_dataloader.dataset
        if dataset.boxes is not None:
            row["boxes"] = dataset.boxes.counts.float().mean().item()
        measured = self.measured_by.of_model(config, runner.model.eval())
        return _rounded(row | self.measured_by.of_dataset(dataset) | measured)


def pretrained(config: Config, folder: Path, seed: int) -> PretrainRunner:
    """The trained pretraining run, resumed from the newest checkpoint in its folder."""
    runner = build_runner(config, folder, resume="auto", seed=seed)
    runner.train()
    return runner


def settings_of(config: Config, seed: int) -> dict[str, Any]:
    """Everything that a pretraining run depends on, except its length."""
    root = Path(config.train_dataloader.dataset.data_root).resolve()
    return pretraining_settings(config) | dict(seed=seed, data_root=str(root))


def _fit_to_epochs(config: Config, epochs: int) -> float:
    """Set a run's number of epochs; returns its 10^12 operations of training."""
    steps, cost = step_cost(config)
    config.train_cfg.max_epochs = epochs
    return epochs * steps * cost


def _rounded(row: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in row.items()}
