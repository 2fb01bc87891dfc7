"""Boxes of a run in its checkpoints, or beside them."""

import pytest
import torch

from ccrop.datasets import BoxStore, checkpointed_boxes
from ccrop.datasets.checkpointed_boxes import max_boxes_of, num_images_of, restore_boxes, saved_boxes


def located(seed: int = 0) -> BoxStore:
    """Two boxes in each of five images."""
    low = torch.rand(5, 2, 2, generator=torch.Generator().manual_seed(seed)) / 2
    store = BoxStore(5, 2, "names")
    store.update(torch.cat([low, low + 0.25, torch.ones(5, 2, 1)], dim=-1), torch.full((5,), 2))
    return store


@pytest.fixture(params=[2**25, 0], ids=["inside", "beside"])
def limit(request, monkeypatch):
    monkeypatch.setattr(checkpointed_boxes, "INSIDE", request.param)
    return request.param


def test_they_are_restored_to_the_last_bit(tmp_path, limit):
    store, other = located(), BoxStore(5, 2, "names")
    torch.save(saved_boxes(store, tmp_path), tmp_path / "epoch_1.pth")
    state = torch.load(tmp_path / "epoch_1.pth", weights_only=True)
    assert (num_images_of(state), max_boxes_of(state)) == (5, 2)
    restore_boxes(other, state, tmp_path / "epoch_1.pth")
    assert other.digest() == store.digest()
    assert len(list(tmp_path.iterdir())) == (1 if limit else 2)


def test_boxes_of_another_set_are_refused(tmp_path, limit):
    state = saved_boxes(located(), tmp_path)
    with pytest.raises(ValueError, match="resume with max_boxes=2"):
        restore_boxes(BoxStore(5, 3, "names"), state, tmp_path / "epoch_1.pth")
    with pytest.raises(ValueError, match="boxes of 5 images belong to another data set"):
        restore_boxes(BoxStore(5, 2, "other names"), state, tmp_path / "epoch_1.pth")


@pytest.fixture
def beside(monkeypatch):
    monkeypatch.setattr(checkpointed_boxes, "INSIDE", 0)


def test_a_file_is_written_when_the_boxes_change_and_stays_for_earlier_checkpoints(tmp_path, beside):
    store = located()
    first = saved_boxes(store, tmp_path)
    written = (tmp_path / first["file"]).stat()
    assert saved_boxes(store, tmp_path) == first
    assert (tmp_path / first["file"]).stat() == written
    store.load_state_dict(located(seed=1).state_dict())
    second = saved_boxes(store, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {first["file"], second["file"]}
    for state, seed in ((first, 0), (second, 1)):
        other = BoxStore(5, 2, "names")
        restore_boxes(other, state, tmp_path / "epoch_2.pth")
        assert other.digest() == located(seed).digest()


def test_a_checkpoint_without_its_file_is_an_error_that_names_it(tmp_path, beside):
    state = saved_boxes(located(), tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"epoch_2\.pth keeps its boxes in {state['file']}, which is miss"):
        restore_boxes(BoxStore(5, 2, "names"), state, tmp_path / "elsewhere/epoch_2.pth")


def test_no_file_elsewhere_is_read(tmp_path, beside):
    state = saved_boxes(located(), tmp_path)
    (tmp_path / "work").mkdir()
    with pytest.raises(FileNotFoundError):
        restore_boxes(BoxStore(5, 2, "names"), state | dict(file=f"../{state['file']}"), tmp_path / "work/epoch_2.pth")


def test_a_damaged_file_is_named(tmp_path, beside):
    state = saved_boxes(located(), tmp_path)
    content = bytearray((tmp_path / state["file"]).read_bytes())
    content[3] ^= 1
    (tmp_path / state["file"]).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{state['file']} is damaged: its content does not match its name"):
        restore_boxes(BoxStore(5, 2, "names"), state, tmp_path / "epoch_1.pth")
    (tmp_path / state["file"]).write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"is damaged: it has \d+ bytes instead of"):
        restore_boxes(BoxStore(5, 2, "names"), state, tmp_path / "epoch_1.pth")
