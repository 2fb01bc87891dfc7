"""Time and memory of a training step of the LiDAR configs: python projects/studies/speed/lidar_steps.py [CONFIG ...]

    python projects/studies/speed/lidar_steps.py                          # all configs of projects/lidar_bev
    python projects/studies/speed/lidar_steps.py centerpoint_pillar_kitti --amp bf16 --csv rows.csv
    python projects/studies/speed/lidar_steps.py --warm-up 0 --steps 1    # does each of them work?

Sweeps are simulated streets of an HDL-64E, or, where a point has five values, as many turns of an HDL-32E in one as the
config reads. Each config runs in a process of its own, two sweeps a step. Pseudo-boxes are the simulated objects, as
boxes of one class. On a CPU, seconds are core-seconds and the peak is that of the whole process; on a GPU both are the
device's.
"""

import argparse
import csv
import resource
import time
from collections.abc import Callable, Sequence
from inspect import signature
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from numpy.random import Generator, default_rng
from torch import Tensor
from torch.optim import AdamW

from ccrop.cli import at_least
from ccrop.compute import core_seconds
from ccrop.datasets.base import build_step
from ccrop.projects.lidar_bev.boxes import num_points_in_boxes
from ccrop.projects.lidar_bev.detection.cluster_labels import find_objects
from ccrop.projects.lidar_bev.pretraining.pipeline import RandomBoxes, collate_sweeps
from ccrop.projects.lidar_bev.simulation.casting import cast
from ccrop.projects.lidar_bev.simulation.scenes import sample_scene
from ccrop.projects.lidar_bev.simulation.sensors import SENSORS

CONFIGS = Path(__file__).parents[2] / "lidar_bev" / "configs"
SWEEPS = 2
WARM_UP, STEPS = 2, 5
PERIOD = 0.05  # seconds of a turn of an HDL-32E
FIELDS = ("config", "device", "precision", "points", "seconds_a_sweep", "peak_gb", "parameters_m")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", help="names in projects/lidar_bev/configs (default: all)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", choices=("bf16",), help="convolutions in bf16")
    parser.add_argument("--warm-up", type=at_least(0), default=WARM_UP, help="steps before (default: %(default)s)")
    parser.add_argument("--steps", type=at_least(1), default=STEPS, help="timed steps (default: %(default)s)")
    parser.add_argument("--csv", type=Path, help="append the rows to this file")
    args = parser.parse_args()
    names = args.configs or all_configs()
    print("| config | points a sweep | seconds a sweep | peak, GB | parameters, 10^6 |\n|---|---|---|---|---|")
    for name in names:
        row = in_own_process(name, args.device, args.amp, args.warm_up, args.steps)
        values = f"{row['points']:,} | {row['seconds_a_sweep']:.3g} | {row['peak_gb']:.2f} | {row['parameters_m']:.2f}"
        print(f"| {name} | {values} |", flush=True)
        if args.csv is not None:
            append(args.csv, row)


def all_configs() -> list[str]:
    """Names of the configs that train, relative to their folder."""
    files = (file.relative_to(CONFIGS).with_suffix("") for file in CONFIGS.rglob("*.py"))
    return sorted(file.as_posix() for file in files if file.parts[0] != "_base_")


def in_own_process(name: str, *settings: Any) -> dict[str, Any]:
    """The row of a config, measured where nothing else has used memory; settings are :func:`row_of`'s."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(name, settings, sender))
    process.start()
    sender.close()  # so that a process that fails ends the wait
    row = receiver.recv()
    process.join()
    return row


def measure(name: str, settings: Sequence[Any], out: Connection) -> None:
    """Send the row of a config."""
    torch.set_num_threads(1)
    out.send(row_of(name, read(name), *settings))


def read(name: str) -> Config:
    """A config, with the classes that it is trained on."""
    config = Config.fromfile(CONFIGS / f"{name}.py")
    if "pseudo_boxes" in config:
        find_objects(config)
    return config


def row_of(name: str, config: Config, device: str, amp: str | None, warm_up: int, steps: int) -> dict[str, Any]:
    """Times and memory of training steps, the median of ``steps`` after ``warm_up`` others."""
    torch.manual_seed(0)
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model).to(device).train()
    samples = [sample_of(config, default_rng(number)) for number in range(SWEEPS)]
    batch = moved(batch_of(config, samples), device)
    optimizer = AdamW(model.parameters())

    def step() -> None:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=amp is not None):
            losses = model(**batch, mode="loss")
        optimizer.zero_grad()
        model.parse_losses(losses)[0].backward()
        optimizer.step()

    seconds = [elapsed(step, device) for _ in range(warm_up + steps)][warm_up:]
    on_gpu = device != "cpu"
    peak = torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    values = (
        name,
        torch.cuda.get_device_name() if on_gpu else "cpu",
        amp or "fp32",
        round(sum(len(each["points"]) for each in samples) / SWEEPS),
        round(median(seconds) / SWEEPS, 5),
        round(peak / 1e9, 3),
        round(sum(each.numel() for each in model.parameters()) / 1e6, 3),
    )
    return dict(zip(FIELDS, values, strict=True))


def elapsed(step: Callable[[], None], device: str) -> float:
    """Core-seconds of a step on a CPU, seconds on a GPU."""
    if device == "cpu":
        start = core_seconds()
        step()
        return core_seconds() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def sample_of(config: Config, rng: Generator) -> dict[str, Any]:
    """A labeled sweep as the config's data set gives it."""
    columns = config.model.backbone.columns
    sensor = SENSORS["HDL-64E" if columns == 4 else "HDL-32E"]
    turns = 1 if columns == 4 else turns_of(config)
    scene = sample_scene(rng, sensor.height)
    clouds = []
    for turn in range(turns):
        points = cast(scene, sensor, rng).points
        age = np.full((len(points), columns - 4), turn * PERIOD, np.float32)
        clouds.append(np.concatenate([points, age], axis=1))
    points, boxes = np.concatenate(clouds), scene.boxes.astype(np.float32)
    labels = np.zeros(len(boxes), dtype=np.int64)
    return dict(
        points=points, boxes=boxes, labels=labels, num_points=num_points_in_boxes(points, boxes), index=0, rng=rng
    )


def turns_of(config: Config) -> int:
    """How many sweeps the config's data set puts into one."""
    settings = config.train_dataloader.dataset
    return settings.get("num_sweeps", signature(settings.type).parameters["num_sweeps"].default)


def batch_of(config: Config, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """The samples after the config's own pipeline, as its loader puts them together."""
    *before, last = map(build_step, config.train_dataloader.dataset.pipeline)
    if "classes" not in config.model and not before:  # what localization would find
        before = [RandomBoxes(last.grid, last.max_boxes)]
    for step in (*before, last):
        samples = [step(each) for each in samples]
    if "classes" in config.model:
        return {name: [each[name] for each in samples] for name in samples[0]}
    return collate_sweeps(samples)


def moved(values: Any, device: str) -> Any:
    """All tensors of nested lists and dictionaries on a device."""
    if isinstance(values, Tensor):
        return values.to(device)
    if isinstance(values, dict):
        return {name: moved(each, device) for name, each in values.items()}
    return [moved(each, device) for each in values]


def append(file: Path, row: dict[str, Any]) -> None:
    with file.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        if not stream.tell():
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
