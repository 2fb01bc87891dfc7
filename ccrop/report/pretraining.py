"""The sections of a pretraining run: what was trained on what, health, pictures, clusters, neighbors."""

import math
import re
from collections.abc import Mapping, Sized
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.checkpoint.recorded_config import recorded_config, recorded_settings
from ccrop.compat.safe_checkpoint import UntrustedCheckpoint, load_checkpoint
from ccrop.datasets import BoxStore, ImageDataset, MissingData
from ccrop.datasets.base import spread
from ccrop.evaluation.health_verdict import HEALTHY, Verdict, judge_run
from ccrop.export.library_networks import LIBRARIES
from ccrop.inference.contact_sheet import area_histogram
from ccrop.inference.panels import box_areas
from ccrop.pretrained import load_pretrained
from ccrop.report import elements
from ccrop.report.charts import Range, bar_chart, histogram, line_chart
from ccrop.report.object_neighbors import (
    ObjectFeatures,
    agreement,
    draw_map,
    find_objects,
    flat_map,
    neighbors,
    restored_boxes,
)
from ccrop.report.scalars import Curves, log_of, seconds_by_epoch, tensorboard_scalars

TITLES = {
    "loss": "loss",
    "z_std": "z-std",
    "rank": "effective rank of z",
    "knn": "kNN accuracy",
    "clusters": "boxes per image",
    "no_box": "images without a box",
    "box_area": "mean area of a box, of the image",
    "whole_image": "boxes that are whole images",
    "loss_heatmap": "loss of the heatmap",
    "loss_start": "loss to the frozen start",
    "box_side": "median longer side of a box, m",
}
FROM_0 = Range(0, 0)
SHOWN = {
    "z_std": Range(0, 1.15),
    "rank": Range(0, 20),
    "no_box": Range(0, 1),
    "whole_image": Range(0, 1),
    **dict.fromkeys(("clusters", "box_area", "box_side", "knn"), FROM_0),
}
PERCENT = ("knn", "no_box", "whole_image", "box_area")
HEALTH = ("z_std", "rank", "loss", "knn")
QUERIES = 8
GALLERY_WIDTH = 1500


def sections(work_dir: Path) -> list[str]:
    """All sections of one run; those without content are omitted."""
    curves = tensorboard_scalars(work_dir, "epoch/")
    parts = [verdict(judge_run(curves))]
    checkpoint, dataset, note = latest_checkpoint(work_dir), None, ""
    if checkpoint is not None:
        config = recorded_settings(checkpoint)
        dataset, note = data_of(checkpoint)
        parts.append(elements.section("What was trained", described(work_dir, config, dataset, curves)))
    parts.append(elements.section("Health", *health_charts({work_dir.name: curves})))
    parts.append(elements.section("What the run saw", gallery(work_dir)))
    if checkpoint is not None and isinstance(dataset, ImageDataset):
        parts += of_images(Path(checkpoint), config, dataset)
    elif note:
        parts.append(elements.section("Objects", elements.paragraph(note)))
    measured = region_knn(tensorboard_scalars(work_dir, "roi/")) or why_no_region_knn(work_dir)
    parts.append(elements.section("RoI-kNN by size", measured))
    parts.append(elements.section("Time", times(work_dir)))
    return parts


HEALTH_TEXT = elements.paragraph(
    "The green band is the healthy range: z-std near 1 and an effective rank well above 2 mean no collapse. "
    "The axes include it, so that small wobbles look small. A healthy run has not collapsed; whether its features are "
    "good is what the neighbors and, with annotations, the accuracies below show, and ccrop evaluate pairs measures."
)


def health_charts(runs: Mapping[str, Curves]) -> tuple[str, ...]:
    """What the charts mean, and the charts; nothing after a single epoch, which has no curve."""
    charts = health(runs)
    return (HEALTH_TEXT, charts) if charts else ()


def verdict(found: Verdict) -> str:
    """The verdict and its reasons, faults first."""
    reasons = "".join(f"<li>{elements.escape(each)}</li>" for each in found.faults + found.remarks)
    word, kind = ("Healthy", "") if found.healthy else ("Not healthy", " bad")
    return f'<div class="verdict{kind}"><strong>{word}</strong><ul>{reasons}</ul></div>'


def data_of(checkpoint: str | Path) -> tuple[Sized | None, str]:
    """The training set of a run, or None and why it cannot be read."""
    try:
        return DATASETS.build(recorded_config(checkpoint).train_dataloader.dataset), ""
    except UntrustedCheckpoint:
        return None, "Not shown: the config names code from outside ccrop and its libraries, which no report runs."
    except (MissingData, OSError) as error:
        return None, f"The images cannot be read: {str(error).splitlines()[0]}"


def described(work_dir: Path, config: Config, dataset: Sized | None, curves: Curves) -> str:
    """Command, model, data and schedule, and the whole config, folded."""
    data = config.train_dataloader.dataset
    epochs = max(curves.get("loss", {0: 0}))
    processes = settings_of(work_dir).get("processes", "1")
    rows = {
        "Command": config.get("command", ""),
        "Config": config.experiment,
        "Method": f"{name_of(config.model.type)} on {network_name(config.model.get('backbone', {}))}",
        "Start": config.get("init", "") or "random",
        "Data": f"{data.get('data_root', '')}" + (", the demo set" if config.on_demo_set else ""),
        f"{getattr(dataset, 'unit', 'image')}s".capitalize(): f"{len(dataset):,}" if dataset is not None else "",
        "Epochs": f"{epochs} of {config.train_cfg.max_epochs}",
        "Batch": str(config.train_dataloader.batch_size) + (f" x {processes} processes" if processes != "1" else ""),
        "Seed": str(config.randomness.get("seed")),
        "Folder": str(work_dir),
    }
    return elements.facts(rows) + elements.folded("The whole config", config.pretty_text)


def settings_of(work_dir: Path) -> Mapping[str, str]:
    checkpoint = latest_checkpoint(work_dir)
    return load_checkpoint(checkpoint).get("settings", {}) if checkpoint else {}


def network_name(backbone: Mapping[str, Any]) -> str:
    """The network in a config: ``timm:NAME``, ``torchvision:NAME``, or its class, with a depth if it has one."""
    kind = name_of(backbone.get("type", ""))
    if kind in LIBRARIES:
        return f"{LIBRARIES[kind]}:{backbone['name']}"
    return f"{kind}-{backbone['depth']}" if "depth" in backbone else kind


def name_of(kind: object) -> str:
    """The last part of a class's name."""
    return kind.rsplit(".", 1)[-1] if isinstance(kind, str) else getattr(kind, "__name__", str(kind))


def health(runs: Mapping[str, Curves]) -> str:
    """One chart per scalar, one line per run; health scalars first."""
    every = dict.fromkeys([*HEALTH, *TITLES, *(name for curves in runs.values() for name in curves)])
    return elements.charts(
        line_chart(
            TITLES.get(name, name.replace("_", " ")),
            {run: curves.get(name, {}) for run, curves in runs.items()},
            healthy=Range(*HEALTHY[name][:2]) if name in HEALTHY else None,
            shown=SHOWN.get(name),
            percent=name in PERCENT or name.startswith("roi_"),
        )
        for name in every
        if name != "unreadable"
    )


def gallery(work_dir: Path) -> str:
    """The first and the newest picture of a run."""
    files = sorted((work_dir / "gallery").glob("*.png"))
    drawn = []
    for file in dict.fromkeys([files[-1], files[0]]) if files else ():
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        if image.width > GALLERY_WIDTH:
            image = image.resize((GALLERY_WIDTH, round(image.height * GALLERY_WIDTH / image.width)))
        epoch = re.search(r"epoch_(\d+)", file.name)
        drawn.append(
            elements.picture(image, f"Before epoch {int(epoch[1]) + 1}." if epoch else file.name, scrolls=True)
        )
    return "".join(drawn)


def of_images(checkpoint: Path, config: Config, dataset: ImageDataset) -> list[str]:
    """Clusters, neighbors and the map, of the newest checkpoint."""
    state = load_checkpoint(checkpoint)
    parts = []
    if "boxes" in state:
        parts.append(elements.section("Clusters", clusters(restored_boxes(dataset, state["boxes"], checkpoint))))
    settings = config.default_hooks.get("localization") or {}
    _, model = load_pretrained(checkpoint, data_root=dataset.data_root)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    size = tuple(settings.get("image_size", (224, 224)))
    objects = find_objects(model, dataset, size, settings.get("keep_ratio", False))
    if objects is not None:
        parts.append(elements.section("Nearest neighbors", neighbor_rows(objects)))
        places, method = flat_map(objects.features)
        caption = f"{len(objects.images)} {objects.kind} by {method} of their features. Similar ones should be close."
        parts.append(elements.section("Map of the embedding", elements.picture(draw_map(objects, places), caption)))
    return parts


def clusters(store: BoxStore) -> str:
    """The number of boxes per image, and their sizes."""
    areas, counts = box_areas(store), store.counts
    if not len(areas):
        return elements.paragraph("No cluster was found: all views were plain random crops.")
    sizes = histogram(
        "area of a box, of the image (logarithmic)",
        area_histogram(areas).tolist(),
        ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"],
    )
    numbers = torch.bincount(counts, minlength=store.max_boxes + 1).tolist()
    per_image = histogram("boxes per image", numbers, ["0", str(store.max_boxes)])
    text = (
        f"{counts.sum():,} boxes in {len(counts):,} images, {counts.double().mean():.1f} per image; "
        f"{(counts == 0).double().mean():.1%} of the images have none."
    )
    return elements.paragraph(text) + elements.charts([sizes, per_image])


def neighbor_rows(objects: ObjectFeatures) -> str:
    """Rows of a query and its five nearest, and how often the nearest has the query's name."""
    nearest, cosine = neighbors(objects)
    text = (
        f"Left: one of {len(objects.images)} {objects.kind}; right: the five nearest in other images, by the cosine of "
        "their features."
    )
    if objects.names:
        own, chance = agreement(objects, nearest)
        text += (
            f" Green: the same class, red: another one. {own:.0%} of the nearest have the class of their query; "
            f"chance is {chance:.0%}."
        )
    rows = []
    for query in spread(len(objects.images), QUERIES):
        name = objects.names[query] if objects.names else f"image {int(objects.images[query])}"
        cells = [elements.thumbnail(objects.thumbnails[query], "query", name)]
        for other, value in zip(nearest[query].tolist(), cosine[query].tolist(), strict=True):
            if not math.isfinite(value):
                continue
            kind, said = "", f"cosine {value:.2f}"
            if objects.names:
                kind = "same" if objects.names[other] == objects.names[query] else "other"
                said = f"{objects.names[other]}, {said}"
            cells.append(elements.thumbnail(objects.thumbnails[other], kind, said))
        rows.append(f'<div class="thumbs">{"".join(cells)}</div>')
    return elements.paragraph(text) + "".join(rows)


def region_knn(curves: Curves) -> str:
    """Balanced accuracy by stride and size when last measured and, if measured, before training (step 0).

    Args:
        curves: ``sSTRIDE_SIZE`` -> epochs trained -> accuracy in [0, 1].
    """
    last = max((step for curve in curves.values() for step in curve), default=None)
    if last is None:
        return ""
    sizes = ("all", "small", "medium", "large")
    steps = sorted({0 for curve in curves.values() if 0 in curve} | {last})
    moments = ["before training" if step == 0 else f"after epoch {step}" for step in steps]
    rows, bars = [], {}
    for stride in sorted({name.split("_")[0] for name in curves}, key=lambda name: int(name[1:])):
        cells = []
        for size in sizes:
            curve = curves.get(f"{stride}_{size}", {})
            values = [curve.get(step, math.nan) for step in steps]
            cells.append(" → ".join(f"{100 * value:.1f}" if math.isfinite(value) else "–" for value in values))
            bars[f"stride {stride[1:]}, {size}"] = values[-1]
        rows.append([f"stride {stride[1:]}", *cells])
    text = f"Balanced accuracy over categories and background, %, {' → '.join(moments)}; sizes are COCO's."
    charts = elements.charts([bar_chart(moments[-1], bars, percent=True)])
    return elements.paragraph(text) + elements.table(["", *sizes], rows) + charts


def why_no_region_knn(work_dir: Path) -> str:
    """What the log says if the run should have measured it and could not."""
    found = re.search(r"(No RoI-kNN in this run|The run continues without RoI-kNN).*", log_of(work_dir))
    return elements.paragraph(found[0]) if found else ""


def times(work_dir: Path) -> str:
    """Seconds per epoch, and the log's information on speed and localization."""
    seconds = seconds_by_epoch(work_dir)
    text = log_of(work_dir)
    speeds = [float(each) for each in re.findall(r"([\d.]+) \w+s/s  ETA", text)]
    looks = [float(each) for each in re.findall(r"Localized \d+ \w+ in ([\d.]+) s", text)]
    speed = sum(speeds) / max(1, len(speeds))
    machine = re.search(r"torch [^,]+, ([^;]*?), seed", text)
    rows = {
        "Machine": machine[1] if machine else "",
        "Training": str(timedelta(seconds=round(sum(seconds.values())))) + f" from epoch 1 to {max(seconds)}"
        if seconds
        else "",
        "Speed": f"{speed:.{0 if speed >= 10 else 2}f} examples/s, mean over epochs" if speeds else "",
        "Localization": f"{sum(looks):.1f} s in {len(looks)} pass{'es' * (len(looks) > 1)}" if looks else "",
    }
    return elements.facts(rows) + elements.charts([line_chart("seconds per epoch", {"": seconds}, shown=FROM_0)])
