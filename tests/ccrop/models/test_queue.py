"""First in, first out."""

import pytest
import torch

from ccrop.models.queue import Queue


def numbered(first: int, num: int) -> torch.Tensor:
    return torch.arange(first, first + num, dtype=torch.float32)[:, None].expand(num, 2)


def test_starts_with_vectors_of_unit_length():
    queue = Queue(10, 4)
    torch.testing.assert_close(queue.vectors.norm(dim=1), torch.ones(10))
    assert not queue.is_full()


@pytest.mark.parametrize("sizes", [[5], [2, 2, 2], [3, 3, 3, 3], [5, 5, 1], [1] * 13, [4, 7, 2], [12]])
def test_holds_the_latest(sizes: list[int]):
    queue = Queue(5, 2)
    total = 0
    for size in sizes:
        queue.push(numbered(total, size))
        total += size
    assert sorted(queue.vectors[:, 0].tolist()) == list(range(total - 5, total))
    assert queue.is_full()


def test_is_full_when_no_random_vector_is_left():
    queue = Queue(5, 2)
    queue.push(numbered(10, 4))
    assert not queue.is_full()
    assert sorted(queue.vectors[:, 0].tolist())[-4:] == [10, 11, 12, 13]
    queue.push(numbered(14, 1))
    assert queue.is_full()


def test_a_loss_of_the_old_vectors_can_be_differentiated_after_a_push():
    queue = Queue(3, 2)
    weight = torch.ones(2, requires_grad=True)
    old = queue.vectors.clone()
    loss = (queue.vectors @ weight).sum()
    queue.push(numbered(5, 2))
    loss.backward()
    torch.testing.assert_close(weight.grad, old.sum(dim=0))


def test_goes_on_where_a_checkpoint_left_it():
    first, second = Queue(5, 2), Queue(5, 2)
    first.push(numbered(0, 7))
    second.load_state_dict(first.state_dict())
    for queue in (first, second):
        queue.push(numbered(7, 2))
    assert torch.equal(first.vectors, second.vectors)
    assert sorted(second.vectors[:, 0].tolist()) == [4, 5, 6, 7, 8]


def test_refuses_to_be_empty():
    with pytest.raises(ValueError, match="size must be positive, got 0"):
        Queue(0, 4)
