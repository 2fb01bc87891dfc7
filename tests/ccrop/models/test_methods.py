"""What holds for every Siamese method: it learns, resumes exactly, and two processes train as one."""

import copy
from pathlib import Path

import pytest
import torch
from jobs import two_processes
from methods import METHODS, build, train, two_views
from torch import Tensor, nn
from torch import distributed as dist

from ccrop.evaluation import effective_rank, embedding_std
from ccrop.models import RegionPairs, Siamese
from ccrop.models.moco import shuffled, unshuffled
from ccrop.models.momentum_encoder import MomentumSiamese

every_method = pytest.mark.parametrize("name", METHODS)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


@every_method
def test_going_down(name: str):
    model = build(name)
    losses = train(model, sgd(model), range(60), 60)
    start = 4 if name.startswith("moco-v") else 1  # a queue of random vectors is easier than one of keys
    first, last = (sum(part) / len(part) for part in (losses[start : start + 4], losses[-4:]))
    assert last < first - 0.1
    assert embedding_std(model.embeddings) > 0.2
    assert effective_rank(model.embeddings) > 2


@every_method
def test_every_weight_learns_but_those_of_a_target(name: str):
    model = build(name)
    model.before_epoch(1, 2)
    model(two_views())["loss"].backward()
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.startswith("target."):
            assert parameter.grad is None, parameter_name
        else:
            assert parameter.grad is not None, parameter_name
            bias_before_bn = parameter_name == "projector.3.bias" and name == "byol"  # the predictor's BN takes it out
            assert parameter.grad.abs().sum() > 0 or bias_before_bn, parameter_name


@every_method
def test_embeddings_are_of_the_first_view_and_detached(name: str):
    model = build(name).eval()
    first, second = two_views()
    model([first, second])
    z = model.embeddings
    assert z.shape[0] == 16
    assert not z.requires_grad
    model([first, first])
    torch.testing.assert_close(model.embeddings, z)
    model([second, first])
    assert not torch.allclose(model.embeddings, z, atol=1e-3)


@every_method
def test_windows_take_the_place_of_whole_views(name: str):
    regions = dict(type=RegionPairs, levels=(0, 1), num_objects=2, num_background=1)
    model = build(name, regions=regions)
    transform = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(16, 2, 3)
    boxes = torch.tensor([0.2, 0.2, 0.8, 0.8, 1]).expand(16, 1, 5)
    scene = dict(transforms=[transform, transform], boxes=boxes, counts=torch.ones(16, dtype=torch.long))
    loss = model(two_views(), **scene)["loss"]
    loss.backward()
    assert model.embeddings.shape[0] == 16 * 3
    assert model.backbone.network.stages[0][0].weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="regions need scene views"):
        model(two_views())


@every_method
def test_a_resumed_run_ends_as_one_that_never_stopped(name: str):
    """With the queue in use and the prototypes frozen in the first epoch only, where the method has them."""
    whole = build(name)
    optimizer = sgd(whole)
    train(whole, optimizer, range(8), 16)
    saved = copy.deepcopy([whole.state_dict(), optimizer.state_dict()])
    expected = train(whole, optimizer, range(8, 16), 16)

    resumed = build(name)
    optimizer = sgd(resumed)
    resumed.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    assert train(resumed, optimizer, range(8, 16), 16) == expected
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


@every_method
def test_a_checkpoint_holds_what_the_method_remembers(name: str):
    model = build(name)
    keys = model.state_dict().keys()
    targets = {key.removeprefix("target.") for key in keys if key.startswith("target.")}
    followed = {key for key in keys if key.split(".")[0] in ("backbone", "projector")}
    assert targets == (followed if isinstance(model, MomentumSiamese) else set())
    queues = {key for key in keys if key.startswith("queue")}
    expected = {"moco-v1": ["queue"], "moco-v2": ["queue"], "swav": ["queues.0", "queues.1"]}.get(name, [])
    assert queues == {f"{queue}.{part}" for queue in expected for part in ("vectors", "pushed")}


def three_steps(model: Siamese, rank: int, world_size: int) -> dict[str, Tensor]:
    """Train on this rank's part of the batches, BN by its running statistics, and give losses and all weights."""
    model.eval()
    optimizer = sgd(model)
    result = {}
    for step in range(3):
        model.before_epoch(step, 3)
        views = [view.chunk(world_size)[rank] for view in two_views(seed=step)]
        loss = model(views)["loss"]
        optimizer.zero_grad()
        loss.backward()
        if world_size > 1:
            for parameter in model.parameters():
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad.div_(world_size))  # as DDP does it
        optimizer.step()
        model.after_step(step / 3)
        result[f"loss {step}"] = loss.detach()
    return result | model.state_dict()


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {name: three_steps(build(name), rank, 2) for name in METHODS}
    torch.manual_seed(rank)
    own = 10.0 * rank + torch.arange(4.0)[:, None]
    images, order = shuffled(own)
    found["shuffle"] = dict(own=own, images=images, order=order, back=unshuffled(images, order))
    torch.save(found, Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """What each of two processes found, by method."""
    folder = tmp_path_factory.mktemp("ranks")
    two_processes(_rank, str(folder))
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@every_method
def test_two_processes_train_as_one(name: str, ranks: list[dict[str, dict[str, Tensor]]]):
    one, (first, second) = three_steps(build(name), 0, 1), (found[name] for found in ranks)
    assert one.keys() == first.keys() == second.keys()
    for key, value in one.items():
        if key.startswith("loss"):
            torch.testing.assert_close((first[key] + second[key]) / 2, value, msg=key)
        else:
            torch.testing.assert_close(first[key], value, atol=1e-5, rtol=1e-4, msg=key)
            assert torch.equal(first[key], second[key]), key


def test_keys_are_computed_among_images_of_all_processes(ranks: list[dict[str, dict[str, Tensor]]]):
    first, second = (found["shuffle"] for found in ranks)
    assert torch.equal(first["order"], second["order"])
    drawn = torch.cat([first["images"], second["images"]])
    assert torch.equal(drawn, torch.cat([first["own"], second["own"]])[first["order"]])
    for found in (first, second):
        assert torch.equal(found["back"], found["own"])
        assert {int(image) // 10 for image in found["images"]} == {0, 1}
