"""From work_dirs and tables of comparisons to a file."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from mmengine.dist import master_only

from ccrop.evaluation.health_verdict import judge_run
from ccrop.experiments.schema import Interval, Schema
from ccrop.files import write_bytes
from ccrop.report import comparison, detector, elements, pretraining
from ccrop.report.scalars import tensorboard_scalars
from ccrop.work_dir import metrics_file


def report_of(paths: Sequence[Path], runs: Path | None = None, interval: Interval = Schema.interval) -> str:
    """The HTML document of runs and comparisons; curves of several pretraining runs come first, overlaid.

    Args:
        paths: work_dirs, or CSV files of comparisons.
        runs, interval: see :func:`.comparison.sections`.

    Raises:
        FileNotFoundError: there is no such folder or file, or the folder does not belong to a run.
        ValueError: a CSV does not belong to a comparison.
    """
    kinds = [kind_of(path) for path in paths]
    parts = []
    pretrainings = [path for path, kind in zip(paths, kinds, strict=True) if kind is pretraining]
    if len(pretrainings) > 1:
        curves = {path.resolve().name: tensorboard_scalars(path, "epoch/") for path in pretrainings}
        charts = pretraining.health(curves)
        parts.append(elements.section("Side by side", elements.line_legend(curves), charts) if charts else "")
    for path, kind in zip(paths, kinds, strict=True):
        own = comparison.sections(path, runs, interval) if kind is comparison else kind.sections(path)
        title = f"<h1>{elements.escape(name_of(path))}</h1>" if len(paths) > 1 else ""
        parts += [title, *own]
    title = name_of(paths[0]) if len(paths) == 1 else f"{len(paths)} runs"
    return elements.page(title, filter(None, parts))


def name_of(path: Path) -> str:
    """A folder's name; of a CSV, which is often results.csv, its folder's too."""
    path = path.resolve()
    return f"{path.parent.name}/{path.name}" if path.is_file() else path.name


def kind_of(path: Path) -> ModuleType:
    """The module that gives the sections of a path.

    Raises:
        FileNotFoundError: it does not exist, or is not a run's folder.
    """
    if path.is_file():
        return comparison
    if not path.is_dir():
        raise FileNotFoundError(f"{path} does not exist: pass a run's folder, or a comparison's CSV file")
    if metrics_file(path).exists() or any(path.glob("round_*/boxes.json")) or any(path.glob("*/vis_data/scalars.json")):
        return detector
    if any(path.glob("*/vis_data/events.out.tfevents.*")):
        return pretraining
    raise FileNotFoundError(f"{path} holds no log of a run: pass a run's folder, such as work_dirs/RUN")


def write_report(
    paths: Sequence[Path], file: Path, runs: Path | None = None, interval: Interval = Schema.interval
) -> None:
    """Write :func:`report_of` to a file."""
    text = report_of(paths, runs, interval)
    write_bytes(file, text.encode(errors="backslashreplace"))  # names of files may hold bytes that are not UTF-8


@master_only
def write_after_run(work_dir: str | Path) -> None:
    """Print a pretraining's verdict, and write ``report.html`` into the folder of a finished run.

    A failure is logged in a line and is not an error, because the run itself is done.
    """
    folder = Path(work_dir)
    file = folder / "report.html"
    try:
        if kind_of(folder) is pretraining:
            print(judge_run(tensorboard_scalars(folder, "epoch/")))
        write_report([folder], file)
    except Exception as error:
        print(f"No report of this run, whose weights and log are complete: {type(error).__name__}: {error}")
    else:
        print(f"Report: {file}")
