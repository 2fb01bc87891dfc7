import logging
import os
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from ccrop.checkpoint.newest import checkpoint_to_resume, checkpoints, latest_checkpoint
from ccrop.hooks.checkpoint import WholeCheckpointHook


class Runner(SimpleNamespace):
    """As much of MMEngine's runner as saving a checkpoint needs; remembers what was there when it saved."""

    def __init__(self, work_dir):
        hub = MessageHub.get_instance(f"checkpoint-{work_dir}")
        super().__init__(work_dir=str(work_dir), message_hub=hub, logger=logging.getLogger("test"))
        self.epoch, self.iter, self.max_epochs, self.max_iters = 0, 0, 100, 1000
        self.there = []

    def save_checkpoint(self, out_dir, filename, *args, **kwargs):
        self.there.append(names(out_dir))
        with open(os.path.join(out_dir, filename), "w") as file:
            file.write(filename)


def names(folder):
    return [file.name for file in checkpoints(folder)]


def run_epochs(hook, runner, epochs):
    for epoch in epochs:
        runner.epoch = runner.iter = epoch - 1
        hook.after_train_epoch(runner)


def ready(runner, **settings):
    hook = WholeCheckpointHook(interval=1, **settings)
    hook.before_train(runner)
    return hook


def test_old_checkpoints_go_only_after_the_new_one_is_there(tmp_path):
    runner = Runner(tmp_path)
    run_epochs(ready(runner, keep=1), runner, range(1, 4))
    assert runner.there == [[], ["epoch_1.pth"], ["epoch_2.pth"]]
    assert names(tmp_path) == ["epoch_3.pth"]


def test_failed_save_deletes_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no room")

    runner = Runner(tmp_path)
    hook = ready(runner, keep=1)
    run_epochs(hook, runner, [1])
    monkeypatch.setattr(Runner, "save_checkpoint", fail)
    with pytest.raises(OSError, match="no room"):
        run_epochs(hook, runner, [2])
    assert names(tmp_path) == ["epoch_1.pth"]


@pytest.mark.parametrize(("keep", "kept"), [(1, [12]), (3, [10, 11, 12]), (-1, range(1, 13))])
def test_the_newest_are_kept(tmp_path, keep, kept):
    (tmp_path / "last_healthy.pth").touch()
    (tmp_path / "epoch_1.pth.bak").touch()
    runner = Runner(tmp_path)
    run_epochs(ready(runner, keep=keep), runner, range(1, 13))
    assert names(tmp_path) == [f"epoch_{epoch}.pth" for epoch in kept]
    assert (tmp_path / "last_healthy.pth").exists()
    assert (tmp_path / "epoch_1.pth.bak").exists()


def test_checkpoints_of_before_a_resume_count_too(tmp_path):
    runner = Runner(tmp_path)
    run_epochs(ready(runner, keep=2), runner, [1, 2])
    runner.epoch = runner.iter = 2
    run_epochs(ready(runner, keep=2), runner, [3])
    assert names(tmp_path) == ["epoch_2.pth", "epoch_3.pth"]


def test_other_folder_for_checkpoints_is_the_one_that_is_tidied(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "far" / "run").mkdir(parents=True)
    (tmp_path / "run" / "epoch_1.pth").touch()
    runner = Runner(tmp_path / "run")
    run_epochs(ready(runner, keep=1, out_dir=str(tmp_path / "far")), runner, [1, 2])
    assert names(tmp_path / "far" / "run") == ["epoch_2.pth"]
    assert names(tmp_path / "run") == ["epoch_1.pth"]


@pytest.mark.parametrize("keep", [0, -2])
def test_keeping_none_is_refused(keep):
    with pytest.raises(ValueError, match=f"got {keep}"):
        WholeCheckpointHook(keep=keep)


def put(folder, name, seconds):
    """A file that was written at a time."""
    (folder / name).touch()
    os.utime(folder / name, (seconds, seconds))


def test_latest_of_a_copied_work_dir_is_that_of_the_highest_number(tmp_path):
    for name, seconds in (("epoch_8.pth", 3000), ("epoch_9.pth", 5000), ("epoch_10.pth", 4000)):  # copied in any order
        put(tmp_path, name, seconds)
    assert names(tmp_path) == ["epoch_8.pth", "epoch_9.pth", "epoch_10.pth"]
    assert latest_checkpoint(tmp_path) == str(tmp_path / "epoch_10.pth")


def test_a_run_that_goes_back_leaves_what_is_ahead_of_it_under_another_name(tmp_path):
    for name in ("epoch_9.pth", "epoch_10.pth", "epoch_5.pth", "iter_70.pth"):
        put(tmp_path, name, 1000)
    runner = Runner(tmp_path)
    runner.epoch, runner.iter = 5, 50
    hook = ready(runner, keep=2)
    assert names(tmp_path) == ["epoch_5.pth"]
    run_epochs(hook, runner, [6, 7])
    assert names(tmp_path) == ["epoch_6.pth", "epoch_7.pth"]
    superseded = {file.name for file in tmp_path.glob("*.superseded.pth")}
    assert superseded == {"epoch_9.superseded.pth", "epoch_10.superseded.pth", "iter_70.superseded.pth"}


@pytest.mark.parametrize(
    ("settings", "interval"),
    [
        (dict(interval=0.05, by_epoch=False), 50),
        (dict(interval=0.0005, by_epoch=False), 1),
        (dict(interval=0.1), 10),
        (dict(interval=7), 7),
    ],
)
def test_an_interval_below_one_is_a_fraction_of_the_run(tmp_path, settings: dict, interval: int):
    hook = WholeCheckpointHook(**settings)
    hook.before_train(Runner(tmp_path))  # 100 epochs, 1000 iterations
    assert hook.interval == interval


@pytest.mark.parametrize(
    ("resume", "found"), [(None, None), ("auto", "work/iter_12.pth"), ("other/iter_3.pth", "other/iter_3.pth")]
)
def test_what_is_resumed(tmp_path, monkeypatch, resume: str | None, found: str | None):
    monkeypatch.chdir(tmp_path)
    for name in ("work/iter_12.pth", "work/iter_9.pth", "other/iter_3.pth"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert checkpoint_to_resume("work", resume) == found
    assert checkpoint_to_resume("none", "auto") is None
    with pytest.raises(FileNotFoundError, match=r"checkpoint work/iter_13\.pth does not exist"):
        checkpoint_to_resume("work", "work/iter_13.pth")


def test_latest_is_a_whole_checkpoint_of_an_epoch_or_iteration(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "none") is None
    for name in (".partial.77.epoch_3.pth", "epoch_4.pth.partial", "last_healthy.pth", "epoch_x.pth", "my_epoch_8.pth"):
        put(tmp_path, name, 2000)
    assert latest_checkpoint(tmp_path) is None
    put(tmp_path, "epoch_2.pth", 1000)
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "epoch_2.pth")
