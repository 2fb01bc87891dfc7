from itertools import islice

import mmengine.dataset.sampler
import pytest
from mmengine.dataset import DefaultSampler

from ccrop.datasets import InfiniteSeededSampler, SeededSampler, ShardedBatches, samplers


@pytest.fixture
def be_rank(monkeypatch):
    def be(rank, world_size):
        for module in (samplers, mmengine.dataset.sampler):
            monkeypatch.setattr(module, "get_dist_info", lambda: (rank, world_size))

    return be


def test_key_is_seed_epoch_and_index():
    sampler = SeededSampler(range(7), shuffle=True, seed=11)
    sampler.set_epoch(3)
    keys = list(sampler)
    assert len(sampler) == len(keys) == 7
    assert {(seed, epoch) for seed, epoch, _ in keys} == {(11, 3)}
    assert sorted(index for _, _, index in keys) == list(range(7))
    assert all(type(number) is int for key in keys for number in key)


@pytest.mark.parametrize("number", [1, 2, 7, 10])
@pytest.mark.parametrize("settings", [dict(), dict(shuffle=False), dict(round_up=False)], ids=str)
@pytest.mark.parametrize("world_size", [1, 3])
def test_the_order_is_mmengines(be_rank, monkeypatch, number, settings, world_size):
    monkeypatch.setattr(samplers, "PART", 2)
    for rank in range(world_size):
        be_rank(rank, world_size)
        ours, theirs = (kind(range(number), seed=5, **settings) for kind in (SeededSampler, DefaultSampler))
        for epoch in range(2):
            ours.set_epoch(epoch)
            theirs.set_epoch(epoch)
            assert [index for _, _, index in ours] == list(theirs)


def test_without_an_end_each_epoch_is_that_of_the_plain_sampler():
    keys = list(islice(InfiniteSeededSampler(range(5), shuffle=True, seed=11), 15))
    plain = SeededSampler(range(5), shuffle=True, seed=11)
    for epoch in range(3):
        plain.set_epoch(epoch)
        assert keys[5 * epoch : 5 * epoch + 5] == list(plain)


@pytest.mark.parametrize("number", [0, 3, 5, 12])
def test_skipped_samples_are_those_that_came_first(number: int):
    sampler = InfiniteSeededSampler(range(5), shuffle=True, seed=11)
    whole = list(islice(sampler, 20))
    sampler.skip(number)
    assert list(islice(sampler, 20 - number)) == whole[number:]


def order(sampler, epoch):
    sampler.set_epoch(epoch)
    return [index for _, _, index in sampler]


def test_epochs_and_seeds_shuffle_anew_and_repeat():
    sampler = SeededSampler(range(50), shuffle=True, seed=0)
    first = order(sampler, 0)
    assert first != list(range(50))
    assert order(sampler, 1) != first
    assert order(SeededSampler(range(50), shuffle=True, seed=9), 0) != first
    assert order(sampler, 0) == order(SeededSampler(range(50), shuffle=True, seed=0), 0) == first
    assert order(SeededSampler(range(50), shuffle=False, seed=0), 4) == list(range(50))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("round_up", [True, False])
@pytest.mark.parametrize("world_size", [1, 3])
def test_order_is_that_of_mmengine(be_rank, shuffle, round_up, world_size):
    for rank in range(world_size):
        be_rank(rank, world_size)
        arguments = dict(dataset=range(10), shuffle=shuffle, seed=4, round_up=round_up)
        theirs, ours = DefaultSampler(**arguments), SeededSampler(**arguments)
        theirs.set_epoch(2)
        assert order(ours, 2) == list(theirs)
        assert len(ours) == len(theirs)


def test_one_rank_has_all_batches_in_order():
    assert list(ShardedBatches(7, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(ShardedBatches(6, 3)) == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("num_samples", [1, 2, 8, 9, 23])
def test_ranks_share_the_batches_of_one_rank(be_rank, num_samples, world_size):
    alone = list(ShardedBatches(num_samples, 4))
    shares = []
    for rank in range(world_size):
        be_rank(rank, world_size)
        batches = ShardedBatches(num_samples, 4)
        shares.append(list(batches))
        assert len(batches) == len(shares[-1])
    assert all(batch in alone for share in shares for batch in share)
    assert sorted(index for share in shares for batch in share for index in batch) == list(range(num_samples))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
