import os

import pytest

from ccrop.available_cores import available_cores, fitting_workers


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert available_cores() == 3
    assert [fitting_workers(asked) for asked in (0, 2, 3, 12)] == [0, 2, 3, 3]


@pytest.mark.parametrize(("counted", "cores"), [(4, 4), (None, 1)])
def test_systems_without_an_affinity_count_all(monkeypatch, counted, cores):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert available_cores() == cores
