"""When a detector is tested while it trains."""

import logging
from types import SimpleNamespace

import pytest

from ccrop.hooks import ValidationHook


@pytest.mark.parametrize(("interval", "tested"), [(2, [2, 4]), (3, [3]), (6, []), (9, []), (1, [1, 2, 3, 4, 5])])
def test_it_is_tested_at_the_interval_but_not_at_the_end(caplog, interval: int, tested: list[int]):
    caplog.set_level("INFO")
    hook = ValidationHook(interval, lambda: "AP 12%")
    for iteration in range(6):
        hook.after_train_iter(SimpleNamespace(iter=iteration, max_iters=6, logger=logging.getLogger("x")), iteration)
    assert caplog.messages == [f"Validation after {number} iterations: AP 12%" for number in tested]


@pytest.mark.parametrize("interval", [0, -2])
def test_an_interval_of_none_is_refused(interval: int):
    with pytest.raises(ValueError, match=f"at least one iteration, got {interval}"):
        ValidationHook(interval, str)
