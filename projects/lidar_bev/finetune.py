"""Fine-tune a detector on labeled sweeps, and measure it on the val split."""

import copy
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import DATASETS

from ccrop.available_cores import fitting_workers
from ccrop.checkpoint import RANDOM, Weights
from ccrop.config import dicts_of, read_config
from ccrop.datasets import MissingData
from ccrop.datasets.generated import RECIPE
from ccrop.experiments.paired_bootstrap import FILE
from ccrop.hooks import UnreadableImagesHook
from ccrop.long_work import with_progress
from ccrop.projects.lidar_bev.datasets import SweepDataset
from ccrop.projects.lidar_bev.detection.centerpoint import CenterPoint
from ccrop.projects.lidar_bev.detection.cluster_labels import use_pseudo_boxes
from ccrop.projects.lidar_bev.detection.ground_truth_sampling import GroundTruthSamplingHook
from ccrop.projects.lidar_bev.detection.labeled_sweeps import check_classes, check_readable, use_labels
from ccrop.projects.lidar_bev.detection.metrics import (
    ERRORS,
    compared,
    detector_metrics,
    has_kitti_labels,
    kitti_metrics,
)
from ccrop.projects.lidar_bev.detection.nuscenes_benchmark import has_nuscenes_score, nuscenes_metrics
from ccrop.projects.lidar_bev.detection.resampled_metrics import resampled_metrics
from ccrop.projects.lidar_bev.detection.self_training import learn_from_teacher
from ccrop.projects.lidar_bev.inference import detected
from ccrop.projects.lidar_bev.paired_bootstrap import sweep_interval
from ccrop.transfer import CORE_SECONDS, Transfer, build_runner, start_of, train_and_test

if TYPE_CHECKING:
    from ccrop.projects.lidar_bev.findings import SweepFindings

NUSCENES_ERRORS = {"mATE": "m", "mASE": "", "mAOE": "rad", "mAVE": "m/s", "mAAE": ""}


def load_config(
    path: str | Path,
    data_root: str | Path | None = None,
    options: dict[str, Any] | None = None,
    backbone: str | None = None,
    labeled: bool = True,
) -> Config:
    """Read a detector's config and determine its data: the root, and labels by the model's ``classes``.

    Args:
        path: a file of ``projects/lidar_bev/configs/centerpoint_*.py``.
        data_root: root of the data set; default: the config's ``default_data_root``.
        options: dotted keys and values over those of the config.
        backbone: None, because those that have names take images.
        labeled: not used: pseudo-boxes of sweeps come with the same config.

    Raises:
        MissingData: the data does not exist.
        FileNotFoundError, UnknownOption: see :func:`ccrop.config.read_config`.
        ValueError: a backbone is named.
    """
    if backbone is not None:
        raise ValueError(
            f"{backbone} takes images, but {path} detects objects in LiDAR sweeps: set model.backbone instead"
        )
    config = read_config(path, options)
    root = data_root or config.default_data_root
    if root is None or not Path(root).is_dir():
        advice = f"pass one with --data-root{config.get('how_to_make_data', '')}"
        raise MissingData(f"the data root {root} does not exist: {advice}")
    root = Path(root)
    for settings in dicts_of(config):
        if "data_root" in settings:
            settings["data_root"] = str(root)
    loader = config.train_dataloader
    for settings in (loader.dataset, config.test_dataset):
        if settings is not None and settings.get("labeled"):
            settings.classes = config.model.classes
    loader.num_workers = fitting_workers(loader.num_workers)
    loader.persistent_workers = loader.num_workers > 0
    config.headline = f"{Path(path).stem} on {data_name(root).replace('_', ' ')} ({root})"
    config.experiment = Path(path).stem
    return config


def data_name(root: str | Path) -> str:
    """The folder's name, and of simulated sweeps that they are."""
    root = Path(root).resolve()
    return root.name if not is_simulated(root) or "simulated" in root.name else f"simulated_{root.name}"


def is_simulated(root: str | Path) -> bool:
    """Whether a data root was written by :mod:`ccrop.projects.lidar_bev.simulation`."""
    return Path(root, RECIPE).is_file()


def finetune(
    config: Config,
    init: str,
    work_dir: str | Path,
    labels: float = 1.0,
    seed: int = 0,
    held_out: float = 0.0,
    resume: str | None = None,
    val_interval: int | None = None,
    allow_changes: bool | None = None,
) -> dict[str, float]:
    """Train and test a detector.

    Args:
        config: of :func:`load_config`; it is not modified. Its ``self_training`` may name a teacher, see
            :mod:`.detection.self_training`.
        init: ``'random'``, or a file with an encoder, see :func:`ccrop.checkpoint.read_weights`.
        work_dir: takes the log, the last checkpoint, ``metrics.json`` and, of the val split, ``detections.npz``, see
            :func:`ccrop.projects.lidar_bev.findings.keep`.
        labels: fraction of the labeled sweeps, see :func:`.labeled_sweeps.use_labels`.
        seed: draws the scenes, the weights and the batches.
        held_out: part of these sweeps that is tested on instead of the val split.
        resume: resume from this checkpoint, or from the newest of the work_dir where it is ``'auto'`` and there is one.
            Sweeps, augmentation and optimizer go on as in an uninterrupted run; on the CPU the weights are equal bit
            for bit.
        val_interval: also test after every this many iterations, and log the metrics; this counts toward the
            core-seconds.
        allow_changes: see :class:`ccrop.transfer.starting_point.Start`.

    Returns:
        The metrics of :mod:`ccrop.projects.lidar_bev.detection.metrics`, and the training's core-seconds; these alone
        where the config has no ``test_dataset``.

    Raises:
        ValueError: the checkpoint was trained with other settings, which may not change; the message lists them. Or
            no object to train or to test on is of a class that is requested, or see
            :func:`.detection.self_training.learn_from_teacher`.
        TooManyUnreadable: sweeps to train or to test on cannot be read.
    """
    config = copy.deepcopy(config)
    start = start_of(config, init, work_dir, resume, allow_changes)  # a wrong file stops here, before the data is read
    trained_on = use_labels(config, labels, seed, held_out)
    if config.train_dataloader.dataset.get("labeled"):  # not where pseudo-boxes take the labels' place
        check_classes(DATASETS.build(dict(config.train_dataloader.dataset, pipeline=[])))
    tested = None if config.test_dataset is None else DATASETS.build(config.test_dataset)
    if tested is not None and not held_out:
        check_classes(tested)
    if tested is not None:
        check_readable(tested, limit_of(config))
    if (config.get("self_training") or {}).get("teacher") is not None:
        trained_on += learn_from_teacher(config, tested, work_dir, start.checkpoint is not None)
    runner = build_runner(config, start, None, work_dir, seed, trained_on)
    sampling = config.get("ground_truth_sampling")
    if sampling and sampling.numbers:
        runner.register_hook(GroundTruthSamplingHook(**sampling))
    model = getattr(runner.model, "module", runner.model)
    assert isinstance(model, CenterPoint)
    if model.second_stage is not None and start.checkpoint is None:
        check_first_stage(model, config.init, start.weights)
    keep = None if held_out or not is_main_process() else Path(work_dir, FILE)

    def test(dataset: SweepDataset) -> dict[str, float]:
        return measured(model, dataset, keep if runner.iter >= runner.max_iters else None)

    on_tested = None if tested is None else partial(test, tested)
    return train_and_test(
        runner, on_tested, lambda metrics: line(metrics, data_name(config.test_dataset.data_root)), val_interval
    )


def check_first_stage(model: CenterPoint, init: str, weights: Weights | None) -> None:
    """Check that a second stage's frozen first stage comes whole from the run's weights.

    Args:
        init: where the weights are from, for the message.
        weights: None for random ones.

    Raises:
        ValueError: the head lacks a tensor there, or has another shape.
    """
    known = {} if weights is None else weights.others
    expected = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("head.")}
    if absent := [name for name, own in expected.items() if name not in known or known[name].shape != own.shape]:
        raise ValueError(
            f"model.second_stage is trained on a finished first stage, but {init} lacks {len(absent)} of the "
            f"{len(expected)} tensors of its head ({absent[0]}, ...): train one without model.second_stage and pass its"
            " checkpoint with --init"
        )


def limit_of(config: Config) -> float:
    """Fraction of the sweeps that may be unreadable: of the hook that counts those that are trained on."""
    hook = config.default_hooks.get("unreadable") or {}
    return hook.get("limit", UnreadableImagesHook().limit)


def measured(model: CenterPoint, dataset: SweepDataset, keep: Path | None = None) -> dict[str, float]:
    """The metrics of a detector on a data set, each sweep alone; of nuScenes, mAP and AP are those of its benchmark.

    Args:
        keep: file for what detectors are compared by and reports draw, see :mod:`ccrop.projects.lidar_bev.findings`.
    """
    indices, found, sweeps = [], [], []
    for index, sample, each in with_progress(detected(model, dataset), "testing", len(dataset)):
        indices.append(index)
        found.append(each)
        sweeps.append(compared(sample, each, model.backbone.grid))
    metrics = detector_metrics(sweeps, model.classes)
    if has_kitti_labels(dataset):
        metrics |= kitti_metrics(dataset, indices, found)
    if has_nuscenes_score(dataset):
        metrics |= nuscenes_metrics(dataset, indices, found)
    if keep is not None:
        resampled = resampled_metrics(dataset, indices, sweeps, found, model.classes)
        from ccrop.projects.lidar_bev import findings  # with matplotlib, which a training does not wait for

        findings.keep(keep, dataset, indices, sweeps, model.classes, model.backbone.grid.extent, resampled)
    return metrics


def line(metrics: dict[str, float], data: str) -> str:
    """Metrics as one line: fractions in percent, mean errors in their units; of KITTI's AP, the moderate one."""
    known = {name: value for name, value in metrics.items() if value == value and name != CORE_SECONDS}
    hidden = re.compile(r".*_(easy|hard)|(heading|axis)_.*")
    shown = {name: value for name, value in known.items() if not hidden.fullmatch(name)}
    units = ERRORS | NUSCENES_ERRORS
    return f"{data}:  " + "  ".join(
        f"{name} {value:.2f} {units[name]}".rstrip() if name in units else f"{name} {value:.1%}"
        for name, value in shown.items()
    )


BINS = ("mAP_0-15m", "mAP_15-30m", "mAP_30m+", "mAP_1-9points", "mAP_10-99points", "mAP_100+points")
CLASSES = ("AP_Car", "AP_Pedestrian", "AP_Cyclist")


def read_found(file: Path) -> "SweepFindings":
    """See :func:`ccrop.projects.lidar_bev.findings.read_found`."""
    from ccrop.projects.lidar_bev import findings

    return findings.read_found(file)


TRANSFER = Transfer(
    load_config=load_config,
    finetune=finetune,
    use_pseudo_boxes=use_pseudo_boxes,
    goal="mAP",
    metrics=("mAP", *CLASSES, "mAP_0.5m", "mAP_1m", "mAP_2m", "mAP_4m", *BINS, *ERRORS),
    shown=("mAP", *CLASSES, *BINS),
    examples="sweeps",
    references=(RANDOM, "random_long"),
    labels=(0.05, 0.2, 1.0),
    data_name=data_name,
    line=line,
    interval=sweep_interval,
    read_found=read_found,
)
