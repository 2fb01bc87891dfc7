import math

import pytest
import torch
from torch import nn

from ccrop.backbones import ResNetCIFAR
from ccrop.models import SimSiam, ViewPreprocessor, heads
from ccrop.models.simsiam import negative_cosine, simsiam_loss


def cosine_by_hand(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def loss_by_hand(p1, p2, z1, z2):
    pairs = [(p1, z2), (p2, z1)]
    total = -sum(cosine_by_hand(p, z) for ps, zs in pairs for p, z in zip(ps.tolist(), zs.tolist(), strict=True))
    return total / (2 * len(p1))


def vectors(num=4, shape=(5, 7), seed=0):
    return torch.randn(num, *shape, generator=torch.Generator().manual_seed(seed)).unbind()


class TestLoss:
    @pytest.mark.parametrize("seed", range(5))
    def test_is_equation_4(self, seed):
        p1, p2, z1, z2 = vectors(seed=seed)
        assert simsiam_loss(p1, p2, z1, z2).item() == pytest.approx(loss_by_hand(p1, p2, z1, z2), abs=1e-6)

    def test_of_known_angles(self):
        p, z = torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([[5.0, 0.0], [1.0, 0.0]])
        assert negative_cosine(p, z).item() == pytest.approx(-0.5)
        assert negative_cosine(p, p * 7).item() == pytest.approx(-1)
        assert negative_cosine(p, -p).item() == pytest.approx(1)
        assert simsiam_loss(p, -p, p, -p).item() == pytest.approx(1)
        assert simsiam_loss(p, z, z, p).item() == pytest.approx(-1)

    def test_no_gradient_reaches_z(self):
        p1, p2, z1, z2 = (vector.requires_grad_() for vector in vectors())
        simsiam_loss(p1, p2, z1, z2).backward()
        assert z1.grad is None
        assert z2.grad is None
        assert p1.grad.abs().sum() > 0
        assert p2.grad.abs().sum() > 0

    def test_gradient_to_p_is_the_cosines(self):
        p, z = (vector.double() for vector in vectors(2))
        p.requires_grad_()
        negative_cosine(p, z).backward()
        step = 1e-6
        for row, column in ((0, 0), (3, 4)):
            shifted = p.detach().clone()
            shifted[row, column] += step
            slope = sum(-cosine_by_hand(a, b) for a, b in zip(shifted.tolist(), z.tolist(), strict=True))
            slope -= sum(-cosine_by_hand(a, b) for a, b in zip(p.tolist(), z.tolist(), strict=True))
            assert p.grad[row, column].item() == pytest.approx(slope / step / len(p), abs=1e-4)

    @pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
    def test_lies_between_minus_one_and_one_at_any_length(self, scale):
        for seed in range(20):
            p1, p2, z1, z2 = vectors(shape=(3, 2), seed=seed)
            assert -1 <= simsiam_loss(p1 * scale, p2, z1, z2 * scale).item() <= 1
            assert simsiam_loss(p1, p1, p1 * scale, p1 * scale).item() == pytest.approx(-1, abs=1e-4)

    def test_is_symmetric_in_the_views(self):
        p1, p2, z1, z2 = vectors()
        assert simsiam_loss(p1, p2, z1, z2).item() == pytest.approx(simsiam_loss(p2, p1, z2, z1).item(), abs=1e-7)
        assert simsiam_loss(p1, p2, z1, z2).item() != pytest.approx(simsiam_loss(p1, p2, z2, z1).item(), abs=1e-3)

    def test_is_computed_in_float32(self):
        p1, p2, z1, z2 = (vector.bfloat16() for vector in vectors())
        loss = simsiam_loss(p1, p2, z1, z2)
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(loss_by_hand(*(v.float() for v in (p1, p2, z1, z2))), abs=1e-6)


def layout(module):
    return [type(layer) for layer in module]


class TestHeads:
    def test_projector_has_three_layers_with_bn_on_all(self):
        projector = heads.projector(512, 2048, 2048)
        hidden = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
        assert layout(projector) == [*hidden, *hidden, nn.Linear, nn.BatchNorm1d]
        shapes = [tuple(layer.weight.shape) for layer in projector if isinstance(layer, nn.Linear)]
        assert shapes == [(2048, 512), (2048, 2048), (2048, 2048)]
        assert [layer.affine for layer in projector if isinstance(layer, nn.BatchNorm1d)] == [True, True, False]
        assert all(layer.bias is None for layer in projector if isinstance(layer, nn.Linear))

    def test_projector_of_two_layers(self):
        projector = heads.projector(8, 16, 4, num_layers=2)
        assert layout(projector) == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d]
        assert projector(torch.randn(3, 8)).shape == (3, 4)

    def test_projections_are_normalized_over_the_batch(self):
        z = heads.projector(8, 16, 16)(torch.randn(64, 8, generator=torch.Generator().manual_seed(0)))
        torch.testing.assert_close(z.mean(dim=0), torch.zeros(16), atol=1e-5, rtol=0)
        torch.testing.assert_close(z.std(dim=0, correction=0), torch.ones(16), atol=1e-2, rtol=0)

    def test_predictor_is_a_bottleneck_without_bn_at_its_end(self):
        predictor = heads.predictor(2048, 512)
        assert layout(predictor) == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
        assert [tuple(predictor[i].weight.shape) for i in (0, 3)] == [(512, 2048), (2048, 512)]
        assert predictor[0].bias is None
        assert predictor[1].affine
        assert predictor[3].bias is not None


@pytest.fixture
def model():
    torch.manual_seed(0)
    backbone = dict(type=ResNetCIFAR, depth=18, base_channels=8, stem_channels=8)
    return SimSiam(backbone, channels=32, bottleneck=8)


def two_views(num=16):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(num, 3, 16, 16, generator=generator)
    return [images + 0.1 * torch.randn(num, 3, 16, 16, generator=generator) for _ in range(2)]


class TestSimSiam:
    def test_loss_is_that_of_its_parts(self, model):
        views = two_views()
        with torch.no_grad():
            z1, z2 = (model.projector(model.backbone(view)[-1].mean(dim=(2, 3))) for view in views)
            expected = loss_by_hand(model.predictor(z1), model.predictor(z2), z1, z2)
        assert model(views, mode="loss")["loss"].item() == pytest.approx(expected, abs=1e-5)

    def test_every_parameter_learns(self, model):
        model(two_views())["loss"].backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name

    def test_embeddings_are_z_and_detached(self, model):
        views = two_views()
        model(views)["loss"].backward()
        assert model.embeddings.shape == (16, 32)
        assert not model.embeddings.requires_grad
        with torch.no_grad():
            expected = model.projector(model.backbone(views[0])[-1].mean(dim=(2, 3)))
        torch.testing.assert_close(model.embeddings, expected)

    def test_optimizing_lowers_the_loss(self, model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        views = two_views()
        losses = []
        for _ in range(25):
            loss = model(views)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert -0.3 < losses[0] < 0.3
        assert sum(losses[-5:]) / 5 < losses[0] - 0.3

    def test_tensor_mode_gives_the_backbones_levels(self, model):
        model.eval()
        images = two_views()[0]
        levels = model(images=images, mode="tensor")
        assert [tuple(level.shape) for level in levels] == [(16, 64, 2, 2)]
        torch.testing.assert_close(model.pooled(images), levels[-1].mean(dim=(2, 3)))
        torch.testing.assert_close(model.extract_feat(images)[-1], levels[-1])

    def test_refuses_other_modes(self, model):
        with pytest.raises(ValueError, match="mode must be 'loss' or 'tensor', got 'predict'"):
            model(two_views(), mode="predict")

    def test_trains_from_uint8_views(self):
        torch.manual_seed(0)
        backbone = dict(type=ResNetCIFAR, depth=18, base_channels=4, stem_channels=4)
        model = SimSiam(backbone, channels=16, bottleneck=4, data_preprocessor=dict(type=ViewPreprocessor))
        views = [torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8) for _ in range(2)]
        data = model.data_preprocessor(dict(views=views, index=torch.arange(4)), training=True)
        loss = model(**data, mode="loss")["loss"]
        assert -1 <= loss.item() <= 1

    def test_channels_last_changes_the_layout_only(self):
        settings = dict(channels=16, bottleneck=4)
        backbone = dict(type=ResNetCIFAR, depth=18, base_channels=4, stem_channels=4)
        plain, other = (SimSiam(backbone, **settings, channels_last=flag) for flag in (False, True))
        other.load_state_dict(plain.state_dict())
        weight = other.backbone.layer4[1].conv1.weight
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert not weight.is_contiguous()
        views = two_views(8)
        torch.testing.assert_close(plain(views)["loss"], other(views)["loss"], atol=1e-4, rtol=0)
