"""The sections of a detector's run: metrics by size, learning curves, rounds of pseudo-boxes, what it finds."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from statistics import mean

from PIL import Image

from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.checkpoint.recorded_config import recorded_settings
from ccrop.report import elements
from ccrop.report.charts import bar_chart, line_chart
from ccrop.report.predictions import Findings, draw, read_found
from ccrop.report.scalars import Curves, log_of, logged_lines
from ccrop.work_dir import metrics_file

METRICS = {"AP by size": "AP", "AP at IoU 0.5 by size": "AP50"}
SIZES = {"all": "", "small": "_S", "medium": "_M", "large": "_L", "below 16 px": "_tiny", "16 to 32 px": "_16-32"}
CURVES = ("loss", "loss_cls", "loss_bbox", "lr")
ROUND = re.compile(r"([\d,]+) pseudo-boxes of ([\d,]+) (?:of [\d,]+ )?(images|sweeps)")
QUALITY = re.compile(r"(recall|precision) at IoU ([\d.]+) ([\d.]+|nan)%, small ([\d.]+|nan)%")
QUALITY_OF_SWEEPS = re.compile(r"recall at BEV IoU [\d.]+ (.*?), (precision) ([\d.]+|nan)%")
RECALL = re.compile(r"([^\s,][^,]*) ([\d.]+)%")
REMARK = re.compile(r"(not compared with \w+: .*)|(Round \d+ was the last: .*)")
MEANING = {
    "images": "Recall and precision in %, of all / of small objects, by annotations that are not trained on.",
    "sweeps": "Precision, and recall by class, in %, at a BEV IoU of 0.3 / 0.5, by labels that are not trained on.",
}
KINDS = {
    "AP by class": re.compile(r"AP_((?!R40_).*)"),
    "mAP by distance of centers": re.compile(r"mAP_([\d.]+ ?m)"),
    "mAP by range": re.compile(r"mAP_([\d.]+(?:-[\d.]+m|m\+))"),
    "mAP by points in the box": re.compile(r"mAP_(.*)points"),
    "KITTI's AP in BEV": re.compile(r"AP_R40_bev_(.*)"),
    "KITTI's AP in 3D": re.compile(r"AP_R40_3d_(.*)"),
    "Average precision": re.compile(r"(.*)"),
}
VALIDATION = re.compile(r"Validation after (\d+) iterations: (.*)")
METRIC = re.compile(r"(\S+) ([\d.]+)%")
PICTURES = 4
OF_IMAGES = "Sizes are COCO's; metrics that end in _counted cover the categories with enough objects of that size."
OF_SWEEPS = (
    "mAP is the mean over classes and distances of 0.5 to 4 m between centers. A bin, such as mAP_0-15m by range or "
    "mAP_100+points by points in the box, counts only the objects and detections in it, so it can exceed mAP."
)


def sections(work_dir: Path) -> list[str]:
    """All sections of a fine-tuning, or of the rounds of a pretraining on pseudo-boxes."""
    rounds = sorted(work_dir.glob("round_*"), key=lambda folder: int(folder.name.removeprefix("round_")))
    runs = {folder.name: folder for folder in rounds} or {work_dir.name: work_dir}
    last = list(runs.values())[-1]
    parts = [elements.section("What was trained", described(last))]
    parts.append(elements.section("Pseudo-boxes, round by round", quality(rounds), *map(gallery, rounds)))
    parts.append(
        elements.section("Average precision", precision({name: metrics_of(run) for name, run in runs.items()}))
    )
    parts.append(
        elements.section(
            "Training", training({name: logged_lines(run) | validations(run) for name, run in runs.items()})
        )
    )
    found = {name: each for name, run in runs.items() if (each := read_found(run)) is not None}
    parts.append(elements.section("What it finds", side_by_side(found)))
    return parts


def described(run: Path) -> str:
    """The command, what the log says first, such as repairs and a teacher's boxes, and the whole config, folded."""
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        return ""
    config = recorded_settings(checkpoint)
    rows = {
        "Command": config.get("command", ""),
        "Run": config.get("headline", ""),
        "Notes": "; ".join(config.get("notes", ())),
        "Iterations": str(config.train_cfg.get("max_iters", "")),
        "Batch": str(config.train_dataloader.get("batch_size", "")),
        "Seed": str(config.get("randomness", {}).get("seed", "")),
        "Time": time_of(run),
        "Folder": str(run),
    }
    return elements.facts(rows) + elements.folded("The whole config", config.pretty_text)


def time_of(run: Path) -> str:
    """How long the training took, by the seconds of an iteration in its log, and the CPU time of all cores."""
    curves = logged_lines(run)
    seconds, cores = curves.get("time", {}), metrics_of(run).get("core_seconds")
    each = mean(seconds.values()) if seconds else 0
    parts = [f"{timedelta(seconds=round(each * max(seconds)))} ({each:.2g} s per iteration)"] if seconds else []
    parts += [f"CPU time {timedelta(seconds=round(cores))}"] if cores else []
    return ", ".join(parts)


def metrics_of(run: Path) -> Mapping[str, float]:
    """A run's final metrics; none for an unfinished one."""
    file = metrics_file(run)
    return json.loads(file.read_text()) if file.exists() else {}


def precision(runs: Mapping[str, Mapping[str, float]]) -> str:
    """AP by size as bars, and every metric of every run in a table; metrics without objects are omitted."""
    names = [name for name in dict.fromkeys(each for run in runs.values() for each in run) if name != "core_seconds"]
    names = [name for name in names if any(run.get(name, float("nan")) == run.get(name) for run in runs.values())]
    if not names:
        return ""
    drawn = []
    for name, run in runs.items():
        found = by_size(run) or of_sweeps({key: run[key] for key in names if key in run})
        prefix = f"{name}: " if len(runs) > 1 else ""
        drawn += [bar_chart(prefix + title, bars, percent=True) for title, bars in found.items()]
    rows = [[name, *(shown(name, run.get(name, float("nan"))) for run in runs.values())] for name in names]
    note = OF_SWEEPS if "mAP" in names else OF_IMAGES
    return (
        elements.charts(drawn)
        + elements.paragraph(note)
        + elements.fold("All metrics", elements.table(["", *runs], rows))
    )


def by_size(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """AP of a detector in images by the objects' size, and AP50; empty without sizes."""
    if "AP_S" not in metrics:
        return {}
    charts = {
        title: {size: metrics[ap + suffix] for size, suffix in SIZES.items() if ap + suffix in metrics}
        for title, ap in METRICS.items()
    }
    return {title: bars for title, bars in charts.items() if bars}


def of_sweeps(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Metrics of a detector in sweeps by what they tell apart, a chart each."""
    charts: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        if not is_fraction(name):
            continue
        if name in ("mAP", "NDS"):
            charts.setdefault("AP by class", {})["mean" if name == "mAP" else name] = value
            continue
        matches = ((title, form.fullmatch(name)) for title, form in KINDS.items())
        title, cell = next((title, match[1]) for title, match in matches if match)
        charts.setdefault(title, {})[cell] = value
    return {title: charts[title] for title in KINDS if title in charts}


def is_fraction(name: str) -> bool:
    """Whether a metric is a fraction, such as a precision, a recall or a score; others have units."""
    return name.startswith(("AP", "mAP", "AR", "NDS"))


def shown(name: str, value: float) -> str:
    """A metric formatted for a table: fractions in percent, errors in meters or radians unchanged."""
    return f"{100 * value:.1f} %" if is_fraction(name) else f"{value:.3g}"


def training(runs: Mapping[str, Curves]) -> str:
    """Losses, the learning rate and validation metrics during training, one line per run."""
    tested = dict.fromkeys(name for run in runs.values() for name in run if is_fraction(name))
    return elements.charts(
        line_chart(
            name, {run: curves.get(name, {}) for run, curves in runs.items()}, "iteration", percent=name in tested
        )
        for name in (*CURVES, *tested)
    )


def validations(run: Path) -> Curves:
    """Validation metrics during training, in [0, 1], by iteration; the last ones are the final ones."""
    found: Curves = {}
    for file in sorted(run.glob("*/*.log")):
        for iteration, line in VALIDATION.findall(file.read_text(errors="replace")):
            for name, percent in METRIC.findall(line):
                found.setdefault(name, {})[int(iteration)] = float(percent) / 100
    last = max((step for curve in logged_lines(run).values() for step in curve), default=0)
    for name, value in metrics_of(run).items():
        if name in found and last > max(found[name]):
            found[name][last] = value
    return found


def quality(rounds: list[Path]) -> str:
    """The boxes that each round learned, how good they are if there are labels, and what the log remarks on them."""
    rows: dict[str, dict[str, str]] = {}
    remarks: dict[str, None] = {}
    meaning = ""
    for folder in rounds:
        text = log_of(folder)
        number = ROUND.search(text)
        if number is None:
            continue
        measured = quality_of_images(text) | quality_of_sweeps(text)
        meaning = MEANING[number[3]] if measured else meaning
        rows[folder.name.replace("_", " ")] = {"boxes": f"{number[1]} of {number[2]} {number[3]}"} | measured
        remarks |= dict.fromkeys(line[0].upper() + line[1:] for each in REMARK.findall(text) if (line := "".join(each)))
    if not rows:
        return ""
    columns = dict.fromkeys(name for row in rows.values() for name in row)
    cells = [[name, *(row.get(column, "–") for column in columns)] for name, row in rows.items()]
    return "".join(map(elements.paragraph, filter(None, [meaning, *remarks]))) + elements.table(["", *columns], cells)


def quality_of_images(text: str) -> dict[str, str]:
    """``all / small`` by measure, from the log of a round."""
    return {f"{kind} at IoU {iou}": f"{all_} / {small}" for kind, iou, all_, small in QUALITY.findall(text)}


def quality_of_sweeps(text: str) -> dict[str, str]:
    """Precision, and recall by class, at each IoU, from the log of a round."""
    found: dict[str, list[str]] = {}
    for recalls, precision, percent in QUALITY_OF_SWEEPS.findall(text):
        found.setdefault(precision, []).append(percent)
        for name, own in RECALL.findall(recalls):
            found.setdefault(f"recall of {name}", []).append(own)
    return {name: " / ".join(values) for name, values in found.items()}


def gallery(folder: Path) -> str:
    """The picture of a round's boxes."""
    file = folder / "gallery.png"
    if not file.exists():
        return ""
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    image.thumbnail((1400, 2400))
    return elements.picture(image, f"Pseudo-boxes of {folder.name.replace('_', ' ')}.", scrolls=True)


def side_by_side(runs: Mapping[str, Findings]) -> str:
    """Some tested examples, a column per run; only those that all runs were tested on."""
    return draw(runs, PICTURES) if runs else ""
