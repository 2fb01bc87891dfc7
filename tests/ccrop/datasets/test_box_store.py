import os

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from ccrop.compat.checkpoint import load_checkpoint
from ccrop.datasets import BoxStore
from ccrop.datasets.box_store import InvalidBoxes


def random_boxes(num_images, max_boxes, seed=0):
    """Valid boxes ``(N, K, 5)`` with scores, and counts ``(N,)`` from 0 to K."""
    rng = torch.Generator().manual_seed(seed)
    first, second = torch.rand(2, num_images, max_boxes, 2, generator=rng)
    scores = torch.rand(num_images, max_boxes, 1, generator=rng)
    counts = torch.arange(num_images) % (max_boxes + 1)
    return torch.cat((torch.minimum(first, second), torch.maximum(first, second), scores), -1), counts


def test_new_store_has_no_boxes():
    store = BoxStore(3, 8, "names")
    assert (len(store), store.max_boxes) == (3, 8)
    assert store.counts.tolist() == [0, 0, 0]
    assert (store[2].shape, store[2].dtype) == ((0, 5), np.float32)


def test_boxes_are_given_back_up_to_their_count():
    store = BoxStore(3, 2, "names")
    boxes = torch.zeros(3, 2, 5)
    boxes[0, 0] = torch.tensor([0.25, 0, 0.5, 1, 0.75])
    boxes[2] = torch.tensor([[0, 0.125, 1, 0.5, 1], [0.5, 0.5, 0.625, 0.75, 0.25]])
    store.update(boxes, torch.tensor([1, 0, 2]))
    assert [store[i].tolist() for i in range(3)] == [[[0.25, 0, 0.5, 1, 0.75]], [], boxes[2].tolist()]
    assert (store.counts.tolist(), store.counts.dtype) == ([1, 0, 2], torch.int64)
    assert (store.boxes.tolist(), store.boxes.dtype) == (boxes.tolist(), torch.float32)


def test_storage_costs_no_precision():
    store = BoxStore(5000, 8, "names")
    boxes, counts = random_boxes(5000, 8)
    store.update(boxes, counts)
    used = torch.arange(8) < counts[:, None]
    assert torch.equal(store.boxes[used], boxes[used])


def test_boxes_that_an_older_checkpoint_has_in_half_precision_are_restored():
    boxes, counts = random_boxes(6, 2)
    store = BoxStore(6, 2, "names")
    store.load_state_dict(dict(boxes=boxes.half(), counts=counts.short(), fingerprint="names"))
    assert store[2].tolist() == boxes[2].half().tolist()


def test_an_image_costs_22_bytes_for_one_box_and_at_most_200_for_eight():
    state = BoxStore(1000, 1, "names").state_dict()
    assert (state["boxes"].nbytes + state["counts"].nbytes) / 1000 == 22
    state = BoxStore(1000, 8, "names").state_dict()
    assert (state["boxes"].nbytes + state["counts"].nbytes) / 1000 <= 200


def test_whatever_lies_beyond_the_count_is_dropped():
    store = BoxStore(2, 2, "names")
    boxes = torch.tensor([0.0, 0, 1, 1, 1]).repeat(2, 2, 1)
    boxes[0, 1] = torch.nan
    boxes[1] = torch.tensor([3.0, 0, -1, 1, 1])
    store.update(boxes, torch.tensor([1, 0]))
    assert store.boxes[0].tolist() == [[0, 0, 1, 1, 1], [0, 0, 0, 0, 0]]
    assert store.boxes[1].abs().sum() == 0


def test_the_only_box_may_be_one_point():
    store = BoxStore(1, 1, "names")
    store.update(torch.tensor([[[0.5, 1, 0.5, 1, 1]]]), torch.tensor([1]))
    assert store[0].tolist() == [[0.5, 1, 0.5, 1, 1]]


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((0.6, 0.2, 0.5, 0.4, 1), "is turned around"),
        ((0.2, 0.6, 0.4, 0.5, 1), "is turned around"),
        ((-0.01, 0.2, 0.5, 0.4, 1), "reaches out of the image"),
        ((0.2, -0.01, 0.5, 0.4, 1), "reaches out of the image"),
        ((0.2, 0.2, 1.01, 0.4, 1), "reaches out of the image"),
        ((0.2, 0.2, 0.5, 1.01, 1), "reaches out of the image"),
        ((NAN, 0.2, 0.5, 0.4, 1), "is not finite"),
        ((0.2, 0.2, 0.5, INFINITY, 1), "is not finite"),
        ((0.2, 0.2, 0.5, 0.4, NAN), "is not finite"),
        ((0.5, 0.2, 0.5, 0.4, 1), "has no area"),
        ((0.2, 0.4, 0.5, 0.4, 1), "has no area"),
    ],
)
def test_no_box_is_refused_and_nothing_is_changed(box, fault):
    store = BoxStore(4, 3, "names")
    good, counts = random_boxes(4, 3)
    store.update(good, counts)
    before = store.boxes
    bad = torch.tensor([0.0, 0, 1, 1, 1]).repeat(4, 3, 1)
    bad[0, 2] = bad[2:, 1] = torch.tensor(box)
    with pytest.raises(InvalidBoxes, match=rf"^image 2: box 2 of 2, \[.*\], {fault}: the localizer must") as caught:
        store.update(bad, torch.full((4,), 2))
    assert caught.value.image == 2
    assert torch.equal(store.boxes, before)
    assert torch.equal(store.counts, counts)


@pytest.mark.parametrize("count", [-1, 3])
def test_count_out_of_range_is_refused(count):
    with pytest.raises(InvalidBoxes, match=f"image 1: {count} boxes, but an image has 0 to 2"):
        BoxStore(3, 2, "names").update(torch.zeros(3, 2, 5), torch.tensor([0, count, 0]))


@pytest.mark.parametrize(
    ("boxes", "counts"), [((3, 1, 5), (3,)), ((2, 2, 5), (3,)), ((3, 2, 4), (3,)), ((3, 2, 5), (2,))]
)
def test_other_shapes_are_refused(boxes, counts):
    with pytest.raises(ValueError, match=r"holds boxes \(3, 2, 5\), got"):
        BoxStore(3, 2, "names").update(torch.zeros(boxes), torch.zeros(counts))


@pytest.mark.parametrize(("num_images", "max_boxes"), [(0, 8), (3, 0)])
def test_store_without_images_or_boxes_is_refused(num_images, max_boxes):
    with pytest.raises(ValueError, match=f"got {num_images} images and K = {max_boxes}"):
        BoxStore(num_images, max_boxes, "names")


class Boxes(Dataset):
    """What a worker reads from the store, and which worker it was."""

    def __init__(self, store):
        self.store = store

    def __len__(self):
        return len(self.store)

    def __getitem__(self, index):
        return self.store[index].tolist(), os.getpid()


def epoch(loader):
    boxes, workers = zip(*(sample for batch in loader for sample in batch), strict=True)
    return list(boxes), set(workers)


def test_persistent_workers_see_an_update_and_a_restored_state_at_once():
    store = BoxStore(6, 2, "names")
    loader = DataLoader(Boxes(store), batch_size=2, num_workers=2, persistent_workers=True, collate_fn=list)
    nothing, workers = epoch(loader)
    assert nothing == [[]] * 6
    boxes, counts = random_boxes(6, 2)
    store.update(boxes, counts)
    found, same_workers = epoch(loader)
    assert found == [boxes[i, : counts[i]].tolist() for i in range(6)]
    assert [len(each) for each in found] == [0, 1, 2, 0, 1, 2]
    state = store.state_dict()
    store.update(random_boxes(6, 2, seed=1)[0], 2 - counts)
    assert [len(each) for each in epoch(loader)[0]] == [2, 1, 0, 2, 1, 0]
    store.load_state_dict(state)
    assert epoch(loader) == (found, workers)
    assert same_workers == workers
    assert len(workers) == 2
    assert os.getpid() not in workers


def test_state_survives_a_checkpoint(tmp_path):
    store = BoxStore(5, 3, "names")
    store.update(*random_boxes(5, 3))
    boxes, counts = store.boxes, store.counts
    torch.save(dict(boxes=store.state_dict()), tmp_path / "epoch_1.pth")
    other = BoxStore(5, 3, "names")
    other.load_state_dict(load_checkpoint(tmp_path / "epoch_1.pth")["boxes"])
    assert torch.equal(other.boxes, boxes)
    assert torch.equal(other.counts, counts)


def test_state_is_a_copy():
    store = BoxStore(5, 3, "names")
    state = store.state_dict()
    store.update(*random_boxes(5, 3))
    assert store.boxes.any()
    assert not state["boxes"].any()
    assert not state["counts"].any()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            (5, 3, "other names"),
            r"boxes of 5 images belong to another data set than this run's 5 .* resume with the data",
        ),
        ((6, 3, "names"), r"boxes of 6 images belong to another data set than this run's 5 .* resume with the data"),
        ((5, 2, "names"), r"up to 2 boxes an image, this run's localizer gives up to 3: resume with max_boxes=2"),
    ],
)
def test_state_of_another_data_set_is_refused(other, message):
    store = BoxStore(5, 3, "names")
    store.update(*random_boxes(5, 3))
    before = store.boxes
    with pytest.raises(ValueError, match=message):
        store.load_state_dict(BoxStore(*other).state_dict())
    assert torch.equal(store.boxes, before)
