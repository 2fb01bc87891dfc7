import multiprocessing

from torch.utils.data import DataLoader

from ccrop.compat.workers import stop_workers


def test_workers_are_gone_and_come_again():
    others = set(multiprocessing.active_children())
    loader = DataLoader(range(4), num_workers=2, persistent_workers=True)
    assert len(list(loader)) == 4
    assert len(set(multiprocessing.active_children()) - others) == 2
    stop_workers(loader)
    assert not set(multiprocessing.active_children()) - others
    assert len(list(loader)) == 4
    stop_workers(loader)
    assert not set(multiprocessing.active_children()) - others
