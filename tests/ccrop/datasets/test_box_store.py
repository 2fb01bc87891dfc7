import os
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import two_processes
from torch import distributed as dist
from torch.utils.data import DataLoader, Dataset

from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.datasets import BoxStore, ShardedBatches, box_store
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


def test_storage_costs_half_a_step_of_an_edge_and_half_precision_of_a_score():
    store = BoxStore(5000, 8, "names")
    boxes, counts = random_boxes(5000, 8)
    store.update(boxes, counts)
    used = torch.arange(8) < counts[:, None]
    used &= (boxes[..., 2:4] - boxes[..., :2]).amin(-1) > 1 / 53760
    off = (store.boxes[used] - boxes[used]).abs()
    assert off[:, :4].max() <= 0.5 / 53760 + 1e-7
    assert off[:, :4].max() * 32000 < 0.3  # pixels
    assert torch.equal(store.boxes[used][:, 4], boxes[used][:, 4].half().float())


@pytest.mark.parametrize("side", [7, 14, 28, 32, 56, 96, 128, 224, 320, 448, 512, 640, 896, 1280])
def test_whole_pixels_of_an_image_of_common_size_are_exact(side):
    edges = torch.arange(side, dtype=torch.float32)
    boxes = torch.stack([edges, edges, edges + 1, edges + 1], dim=-1) / side
    boxes = torch.cat([boxes, torch.ones(side, 1)], dim=-1)[:, None]
    store = BoxStore(side, 1, "names")
    store.update(boxes, torch.ones(side, dtype=torch.long))
    assert torch.equal(store.boxes, boxes)


@pytest.mark.parametrize("low", [0.0, 0.1, 0.49999, 1 - 1e-6])
def test_an_object_that_is_thinner_than_a_step_keeps_an_area(low):
    store = BoxStore(1, 2, "names")
    thin = torch.tensor([[[low, low, low + 5e-7, low + 5e-7, 1], [0, 0, 1, 1, 1]]])
    store.update(thin, torch.tensor([2]))
    x0, y0, x1, y1, _ = store[0][0].tolist()
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    assert max(abs(x0 - low), abs(x1 - low)) < 1.1 / 53760


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_boxes_of_older_checkpoints_are_restored(dtype):
    boxes, counts = random_boxes(6, 2)
    boxes = boxes.to(dtype)
    store = BoxStore(6, 2, "names")
    store.load_state_dict(dict(boxes=boxes, counts=counts.short(), fingerprint="names"))
    assert store.counts.tolist() == counts.tolist()
    torch.testing.assert_close(torch.from_numpy(store[2])[:, :4], boxes[2, :, :4].float(), atol=1e-5, rtol=0)
    assert store[2][:, 4].tolist() == boxes[2, :, 4].half().tolist()


@pytest.mark.parametrize(("max_boxes", "expected"), [(1, 12), (8, 82), (19, 192), (32, 322)])
def test_an_image_costs_10_bytes_a_box_and_2_more(max_boxes, expected):
    assert BoxStore(1000, max_boxes, "names").nbytes == 1000 * expected


def test_some_images_can_be_written():
    boxes, counts = random_boxes(4, 2)
    store = BoxStore(9, 2, "names")
    store.write(torch.tensor([7, 0, 3, 8]), boxes, counts)
    assert store.counts.tolist() == [1, 0, 0, 2, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(store[3], boxes[2], atol=3e-4)
    with pytest.raises(InvalidBoxes, match="image 5: 3 boxes") as caught:
        store.write(torch.tensor([6, 5]), boxes[:2], torch.tensor([0, 3]))
    assert caught.value.image == 5
    with pytest.raises(ValueError, match=r"holds boxes \(2, 2, 5\), got \(2, 3, 5\)"):
        store.write(torch.tensor([6, 5]), torch.zeros(2, 3, 5), torch.zeros(2))


def test_chunks_are_all_images_in_order(monkeypatch):
    monkeypatch.setattr(box_store, "CHUNK", 6)
    store = BoxStore(8, 2, "names")
    store.update(*random_boxes(8, 2))
    chunks = list(store.chunks())
    assert [len(counts) for _, counts in chunks] == [3, 3, 2]
    boxes, counts = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*chunks, strict=True))
    assert torch.equal(boxes, store.boxes)
    assert torch.equal(counts, store.counts)


def test_a_score_beyond_half_precision_is_refused():
    with pytest.raises(InvalidBoxes, match=r"image 0: box 1 of 1, .*, has a score above 65,504: the localizer must"):
        BoxStore(1, 1, "names").update(torch.tensor([[[0, 0, 1, 1, 70000.0]]]), torch.tensor([1]))


def test_what_was_saved_is_loaded_in_place(tmp_path, monkeypatch):
    monkeypatch.setattr(box_store, "CHUNK", 6)
    store, other = (BoxStore(8, 2, "names") for _ in range(2))
    store.update(*random_boxes(8, 2))
    assert store.digest() != other.digest()
    store.save(tmp_path / "boxes.bin")
    other.load(tmp_path / "boxes.bin", dict(num_images=8, max_boxes=2, fingerprint="names"))
    assert torch.equal(store.boxes, other.boxes)
    assert torch.equal(store.counts, other.counts)
    assert store.digest() == other.digest()


def test_a_saved_store_that_is_cut_off_is_refused(tmp_path):
    BoxStore(8, 2, "names").save(tmp_path / "boxes.bin")
    (tmp_path / "boxes.bin").write_bytes((tmp_path / "boxes.bin").read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"boxes\.bin is damaged: it has 175 bytes instead of 176; copy it again"):
        BoxStore(8, 2, "names").load(tmp_path / "boxes.bin", dict(num_images=8, max_boxes=2, fingerprint="names"))


def _fill(rank: int, folder: str, nodes: int) -> None:
    """Write the boxes of a rank's share, in one of one or two nodes."""
    os.environ["LOCAL_RANK"] = str(rank if nodes == 1 else 0)
    box_store.CHUNK = 10
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    store, share = BoxStore(23, 2, "names"), ShardedBatches(23, 4)
    boxes, counts = random_boxes(23, 2)
    for batch in share:
        store.write(torch.tensor(batch), boxes[batch], counts[batch])
    store.exchange(share)
    found = dict(boxes=store.boxes, counts=store.counts, copies=store._memory.copies, first=store._memory.is_first)
    if rank == 0:  # as a report of the run, which the main process alone writes
        alone = BoxStore(23, 2, "names", alone=True)
        alone.load_state_dict(store.state_dict())
        assert alone.digest() == store.digest()
    store.update(boxes.flip(0), counts.flip(0))
    found["flipped"] = store.boxes
    torch.save(found, Path(folder, f"{nodes}_{rank}.pt"))
    dist.destroy_process_group()


@pytest.mark.parametrize("nodes", [1, 2])
def test_two_processes_fill_one_store_a_node(tmp_path, nodes):
    two_processes(_fill, str(tmp_path), nodes)
    first, second = (torch.load(tmp_path / f"{nodes}_{rank}.pt") for rank in range(2))
    alone = BoxStore(23, 2, "names")
    alone.update(*random_boxes(23, 2))
    for found in (first, second):
        assert torch.equal(found["boxes"], alone.boxes)
        assert torch.equal(found["counts"], alone.counts)
        assert torch.equal(found["flipped"], alone.boxes.flip(0))
        assert found["copies"] == nodes
    assert (first["first"], second["first"]) == (True, nodes == 2)


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
    with pytest.raises(InvalidBoxes, match=f"image 1: {count} boxes, but an image can have 0 to 2"):
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
    for index, own in enumerate(found):
        np.testing.assert_allclose(np.reshape(own, (-1, 5)), boxes[index, : counts[index]], atol=3e-4)
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
        (
            (5, 2, "names"),
            r"up to 2 boxes per image, but this run's localizer returns up to 3: resume with max_boxes=2",
        ),
    ],
)
def test_state_of_another_data_set_is_refused(other, message):
    store = BoxStore(5, 3, "names")
    store.update(*random_boxes(5, 3))
    before = store.boxes
    with pytest.raises(ValueError, match=message):
        store.load_state_dict(BoxStore(*other).state_dict())
    assert torch.equal(store.boxes, before)
