"""Arms of a comparison: which there are, what each starts from, and what it costs."""

import csv
from pathlib import Path

import pytest
from mmengine.config import Config

from ccrop.transfer import Transfer, comparison

RUNS: list[tuple[str, str, int]] = []


def load_config(path: str, data_root: str, options: dict | None) -> Config:
    optimizer = dict(type="SGD", lr=0.1)
    return Config(
        dict(
            train_cfg=dict(max_iters=10),
            param_scheduler=[],
            optim_wrapper=dict(type="OptimWrapper", optimizer=optimizer),
            imagenet="timm:resnet18" if "named" in path else None,
        )
    )


def finetune(config: Config, init: str, work_dir: Path, labels: float, seed: int) -> dict[str, float]:
    RUNS.append((Path(work_dir).name, init, config.train_cfg.max_iters))
    return dict(AP=0.1, core_seconds=2.4)


@pytest.fixture
def compare(tmp_path: Path, monkeypatch):
    """The command in a folder of its own, on a detector of which a step is 1e12 operations; gives code and rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(comparison, "step_tflop", lambda config: 1.0)
    RUNS.clear()
    transfer = Transfer(load_config, finetune, None, "AP", ("AP",), ("AP",), references=("random", "imagenet"))

    def run(*arguments: str) -> tuple[int, list[dict[str, str]]]:
        command = ["--data-root", "root/set", "--labels", "1", "--seeds", "0", "--lr-factors", "1", "--csv", "x.csv"]
        code = comparison.main(transfer, "", [*arguments, *command])
        if not Path("x.csv").exists():
            return code, []
        with open("x.csv", newline="") as file:
            return code, list(csv.DictReader(file))

    return run


def test_random_is_always_there_and_imagenet_where_its_weights_are_named(compare, capsys):
    code, rows = compare("detector.py", "--imagenet", "torchvision:resnet18")
    assert code == 0
    assert [row["arm"] for row in rows] == ["random", "random_long", "imagenet"]
    # random_long trains by 5e12 operations longer; nobody here knows what ImageNet cost
    assert RUNS == [
        ("random_0", "random", 10),
        ("random_long_0", "random", 15),
        ("imagenet_0", "torchvision:resnet18", 10),
    ]
    assert [row["pretraining_tflop"] for row in rows] == ["0.0", "0.0", ""]
    assert {row["core_seconds"] for row in rows} == {"2"}
    out = capsys.readouterr().out
    assert "AP over random | AP over imagenet |" in out
    assert "No row imagenet" not in out


def test_a_config_can_name_the_weights_and_any_init_is_an_arm(compare, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/epoch_1.pth").touch()
    code, rows = compare("named.py", "--no-long", "--pretrain", "mine=timm:resnet50", "run/epoch_{seed}.pth")
    assert code == 2  # of seed 0 there is none
    (tmp_path / "run/epoch_1.pth").rename(tmp_path / "run/epoch_0.pth")
    code, rows = compare("named.py", "--no-long", "--pretrain", "mine=timm:resnet50", "run/epoch_{seed}.pth")
    assert code == 0
    assert [init for _, init, _ in RUNS] == ["random", "timm:resnet18", "timm:resnet50", "run/epoch_0.pth"]
    assert [row["arm"] for row in rows] == ["random", "imagenet", "mine", "run"]


def test_without_weights_a_line_says_how_to_get_the_row(compare, capsys):
    assert compare("detector.py")[0] == 0
    assert "No row imagenet: name weights of the detector's backbone by --imagenet FILE, timm:NAME or" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--imagenet", "none.pth"), "checkpoint none.pth of imagenet, seed 0, does not exist"),
        (("--imagenet", "timm:a", "--pretrain", "imagenet=timm:b"), "two initialisations have one name"),
        (("--pretrain", "random=timm:b"), "two initialisations have one name"),
        (("--pretrain", "x=clusters:y"), "clusters:y is of no pretraining"),
    ],
)
def test_arms_that_cannot_be(compare, capsys, arguments: tuple[str, ...], message: str):
    assert compare("detector.py", *arguments) == (2, [])
    assert message in capsys.readouterr().err
    assert RUNS == []
