"""A slow run is logged every minute, a fast one every so many iterations."""

import logging
from types import SimpleNamespace

import pytest

from ccrop.hooks import SteadyLoggerHook, steady_logger


@pytest.mark.parametrize(("seconds", "logged"), [(1, [4, 8]), (25, [3, 4, 7, 8])])
def test_iterations_are_logged_at_the_interval_and_after_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, seconds: float, logged: list[int]
):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(steady_logger, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(steady_logger.LoggerHook, "before_run", lambda *_: None)
    caplog.set_level("INFO")
    runner = SimpleNamespace(
        iter=0,
        logger=logging.getLogger("x"),
        train_dataloader=range(100),
        log_processor=SimpleNamespace(get_log_after_iter=lambda runner, batch, mode: ({}, str(batch + 1))),
        visualizer=SimpleNamespace(add_scalars=lambda *_, **__: None),
    )
    hook = SteadyLoggerHook(interval=4)
    hook.before_run(runner)
    for runner.iter in range(9):
        clock.now += seconds
        hook.after_train_iter(runner, runner.iter)
    assert caplog.messages == [str(number) for number in logged]
