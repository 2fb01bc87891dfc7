"""Arms of a detector's initializations: which there are, what each starts from, what it costs, and its rate."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config

from ccrop.experiments import initializations, sources
from ccrop.experiments.engine import run_missing
from ccrop.experiments.initializations import InitializationStudy
from ccrop.experiments.summary import write_summary
from ccrop.transfer import Transfer

RUNS: list[tuple[str, str, int]] = []
Compare = Callable[..., list[dict[str, str]]]


def load_config(path: str, data_root: str, options: dict | None) -> Config:
    optimizer = dict(type="SGD", lr=0.1)
    return Config(
        dict(
            model=dict(type="Detector"),
            train_cfg=dict(max_iters=10),
            param_scheduler=[],
            optim_wrapper=dict(type="OptimWrapper", optimizer=optimizer),
            imagenet="timm:resnet18" if "named" in path else None,
        )
    )


def finetune(
    config: Config,
    init: str,
    work_dir: Path,
    labels: float = 1,
    seed: int = 0,
    held_out: float = 0.0,
    resume: str | None = None,
) -> dict[str, float]:
    """Writes a checkpoint; of a search, the lower rate is better, and of a run, a number of its own."""
    assert resume == "auto"
    RUNS.append((Path(work_dir).name, init, config.train_cfg.max_iters))
    Path(work_dir).mkdir(parents=True, exist_ok=True)
    Path(work_dir, "iter_10.pth").touch()
    return dict(AP=1 - config.optim_wrapper.optimizer.lr if held_out else 0.1, core_seconds=2.4)


TRANSFER = Transfer(load_config, finetune, None, "AP", ("AP",), ("AP",), references=("random", "imagenet"))


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compare:
    """Runs a study in a folder of its own, on a detector of which a step is 1e12 operations, and gives the rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(initializations, "step_tflop", lambda config: 1.0)
    monkeypatch.setattr(sources, "read_weights", lambda source: None)
    RUNS.clear()

    def run(detector: str = "detector.py", transfer: Transfer = TRANSFER, **arguments: object) -> list[dict[str, str]]:
        settings = dict(labels=[1], seeds=[0], lr_factors=[1]) | arguments
        study = InitializationStudy(transfer, detector, "root/set", Path("runs"), **settings)
        run_missing(study, Path("x.csv"))
        write_summary(Path("x.csv"), study.schema)
        with open("x.csv", newline="") as file:
            return list(csv.DictReader(file))

    return run


def test_random_is_always_there_and_imagenet_where_its_weights_are_named(
    compare: Compare, capsys: pytest.CaptureFixture[str]
):
    rows = compare(imagenet="torchvision:resnet18")
    assert [row["arm"] for row in rows] == ["random", "random_long", "imagenet"]
    # random_long trains by 5e12 operations longer; nobody here knows what ImageNet cost
    assert RUNS == [
        ("random_0", "random", 10),
        ("random_long_0", "random", 15),
        ("imagenet_0", "torchvision:resnet18", 10),
    ]
    assert [row["pretraining_tflop"] for row in rows] == ["0.0", "0.0", ""]
    assert {row["core_seconds"] for row in rows} == {"2"}
    assert {row["seconds"] for row in rows} == {"0"}
    assert rows[2]["options"] == "backbone_lr=1 config=detector init=torchvision:resnet18 lr_factors=1"
    out = capsys.readouterr().out
    assert "AP over random | AP over imagenet |" in out
    assert "No row imagenet" not in out


def test_a_config_can_name_the_weights_and_any_init_is_an_arm(compare: Compare, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/epoch_1.pth").touch()
    arguments = dict(long=False, pretrain=["mine=timm:resnet50", "run/epoch_{seed}.pth"])
    with pytest.raises(FileNotFoundError, match=r"checkpoint run/epoch_0\.pth of run, seed 0, does not exist"):
        compare("named.py", **arguments)
    assert RUNS == []
    (tmp_path / "run/epoch_1.pth").rename(tmp_path / "run/epoch_0.pth")
    rows = compare("named.py", **arguments)
    assert [init for _, init, _ in RUNS] == ["random", "timm:resnet18", "timm:resnet50", "run/epoch_0.pth"]
    assert [row["arm"] for row in rows] == ["random", "imagenet", "mine", "run"]


def test_without_weights_a_line_says_how_to_get_the_row(compare: Compare, capsys: pytest.CaptureFixture[str]):
    compare()
    assert "No row imagenet: pass weights of the detector's backbone with --imagenet FILE, timm:NAME or" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(imagenet="none.pth"), "checkpoint none.pth of imagenet, seed 0, does not exist"),
        (dict(imagenet="timm:a", pretrain=["imagenet=timm:b"]), "two initializations of .* have the same name"),
        (dict(pretrain=["random=timm:b"]), "two initializations of .* have the same name"),
        (dict(pretrain=["x=clusters:y"]), "clusters:y matches none of x: add its pretraining to --pretrain"),
        (dict(pretrain=["x=clusters:x"]), "clusters:x matches none of x: add its pretraining to --pretrain"),
        (dict(pretrain=["x="]), "--pretrain x= names no file: pass NAME=FILE"),
        (dict(pretrain=["none.py"]), "config none.py does not exist"),
        (dict(pretrain=["x=timm:y"], only=["z"]), "--arms z: unknown arm; the arms are random, random_long, x"),
    ],
)
def test_arms_that_cannot_be(compare: Compare, tmp_path: Path, arguments: dict, message: str):
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        compare(**arguments)
    assert RUNS == []
    assert not (tmp_path / "x.csv").exists()


def test_each_initialization_has_its_own_rate_which_is_searched_once(compare: Compare):
    rows = compare(long=False, pretrain=["mine=timm:resnet50"], lr_factors=[2, 0.5], seeds=[3, 4])
    first, second = ["lr_0.2_1", "lr_0.05_1", "random_3"], ["lr_0.2_1", "lr_0.05_1", "mine_3"]
    assert [name for name, _, _ in RUNS] == [*first, *second, "random_4", "mine_4"]
    assert {row["lr"] for row in rows} == {"0.05"}
    Path("x.csv").unlink()
    RUNS.clear()
    assert compare(long=False, pretrain=["mine=timm:resnet50"], lr_factors=[2, 0.5], seeds=[3, 4]) == rows
    assert RUNS == []


def test_rates_and_runs_of_another_budget_are_not_taken_over(compare: Compare, capsys: pytest.CaptureFixture[str]):
    compare(only=["random"], lr_factors=[2, 0.5])
    with pytest.raises(ValueError, match=r"x\.csv holds random of seed 0 with iterations 10, not 20: choose another"):
        compare(only=["random"], lr_factors=[2, 0.5], iterations=20)
    with pytest.raises(ValueError, match=r"with options .*lr_factors=2,0\.5.*, not .*lr_factors=2,1"):
        compare(only=["random"], lr_factors=[2, 1])
    Path("x.csv").unlink()
    RUNS.clear()
    compare(only=["random"], lr_factors=[2, 0.5], iterations=20)
    assert RUNS == [("lr_0.2_1", "random", 20), ("lr_0.05_1", "random", 20), ("random_0", "random", 20)]
    moved = capsys.readouterr().out
    for folder in ("runs/set/lr/random", "runs/set/1/random_0"):
        assert f"{folder} held an earlier run, which was moved to {folder}.1 (its settings differed)" in moved
        assert Path(f"{folder}.1").is_dir()


def test_another_checkpoint_under_the_same_name_is_run_anew(compare: Compare, tmp_path: Path):
    arguments = dict(only=["mine"], pretrain=["mine=a.pth"])
    for content in ("first", "second", "second"):
        (tmp_path / "a.pth").write_text(content)
        (tmp_path / "x.csv").unlink(missing_ok=True)
        compare(**arguments)
    assert RUNS == [("mine_0", "a.pth", 10)] * 2


def test_a_detector_of_clusters_trains_for_what_the_pretraining_cost(compare: Compare, tmp_path: Path):
    def use_pseudo_boxes(config: Config, source: str, folder: Path) -> None:
        assert (source, folder) == ("a.pth", Path("runs/set/pretraining/learned_0"))

    (tmp_path / "a.pth").touch()
    learner = replace(TRANSFER, use_pseudo_boxes=use_pseudo_boxes)
    rows = compare(transfer=learner, only=["learned"], pretrain=["stored=a.pth", "learned=clusters:stored"], tflop=7)
    assert RUNS == [("learned_0", "random", 7), ("learned_0", "runs/set/pretraining/learned_0/iter_10.pth", 10)]
    assert rows[0]["pretraining_tflop"] == "7"


def test_weights_that_cannot_be_had_are_refused_before_anything_is_run(
    compare: Compare, monkeypatch: pytest.MonkeyPatch
):
    def offline(source: str) -> None:
        raise ConnectionError(f"the weights {source} are not here")

    monkeypatch.setattr(sources, "read_weights", offline)
    with pytest.raises(ConnectionError, match="the weights timm:resnet50 are not here"):
        compare(long=False, pretrain=["mine=timm:resnet50"])
    assert RUNS == []
    assert [row["arm"] for row in compare(pretrain=["mine=timm:resnet50"], only=["random"])] == ["random"]
