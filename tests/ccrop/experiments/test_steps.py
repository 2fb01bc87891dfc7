"""A step is done once, continues where it was interrupted, and keeps what others left."""

from pathlib import Path

import pytest

from ccrop.experiments.steps import step
from ccrop.resume_advice import how_to_resume
from ccrop.work_dir import WorkDirInUse, locked


def unused() -> None:
    raise AssertionError("done again")


def test_a_finished_step_is_not_done_again(tmp_path: Path):
    settings = dict(seed=3, lr=0.1, options="a=1")
    assert step(tmp_path / "a", settings, lambda: dict(AP=0.25, note="")) == dict(AP=0.25, note="")
    assert step(tmp_path / "a", dict(settings), unused) == dict(AP=0.25, note="")


def test_messages_within_a_step_name_no_flag_that_a_comparison_lacks(tmp_path: Path):
    assert step(tmp_path / "a", {}, how_to_resume) == "run the same command again"


def test_an_interrupted_step_finds_what_it_left(tmp_path: Path):
    def interrupted() -> None:
        (tmp_path / "a/epoch_1.pth").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step(tmp_path / "a", dict(seed=0), interrupted)
    assert step(tmp_path / "a", dict(seed=0), lambda: (tmp_path / "a/epoch_1.pth").read_text()) == "half"
    assert [folder.name for folder in tmp_path.iterdir()] == ["a"]


def test_what_has_other_settings_or_none_is_moved_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    work = tmp_path / "a"
    work.mkdir()
    (work / "epoch_9.pth").write_text("of someone")

    def files() -> list[str]:
        return sorted(file.name for file in work.iterdir())

    assert step(work, dict(seed=0), files) == [".lock", "step.json"]
    assert (tmp_path / "a.1/epoch_9.pth").read_text() == "of someone"
    assert step(work, dict(seed=1), files) == [".lock", "step.json"]
    assert (tmp_path / "a.2/step.json").is_file()
    assert capsys.readouterr().out == "".join(
        f"{work} held an earlier run, which was moved to {work}.{number} (its settings differed)\n" for number in (1, 2)
    )


def test_another_process_keeps_out(tmp_path: Path):
    with locked(tmp_path / "a"), pytest.raises(WorkDirInUse):
        step(tmp_path / "a", {}, unused)

    def busy() -> None:
        with pytest.raises(WorkDirInUse):
            step(tmp_path / "a", {}, unused)

    step(tmp_path / "a", {}, busy)
