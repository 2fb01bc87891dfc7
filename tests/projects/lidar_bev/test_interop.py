"""Names of OpenPCDet and mmdetection3d, and encoders that give the same maps after the exchange."""

import pytest
import torch
from jobs import call, script
from torch import nn

from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.interop import export_encoder, import_encoder
from ccrop.projects.lidar_bev.models import PillarEncoder, SparseEncoder

GRID = Grid(low=(-8, -8, -3), high=(8, 8, 1), cell=0.5)


def randomised(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(noise + 0.5 if "var" in name else (noise - 0.5) / 4)
    return module.eval()


def checkpoint_of(module: nn.Module) -> dict:
    state = {f"backbone.{name}": tensor for name, tensor in module.state_dict().items()}
    return dict(state_dict=state | {"projector.0.weight": torch.zeros(2)})


@pytest.fixture(scope="module")
def pillars() -> PillarEncoder:
    return randomised(PillarEncoder(GRID, 4, "kitti"))


@pytest.fixture(scope="module")
def voxels() -> SparseEncoder:
    pytest.importorskip("spconv")
    return randomised(SparseEncoder(GRID, 4))


# as these frameworks name and shape the layers of their KITTI models, read from their sources
OPENPCDET_PILLARS = {
    "vfe.pfn_layers.0.linear.weight": (64, 10),
    "vfe.pfn_layers.0.norm.running_mean": (64,),
    "backbone_2d.blocks.0.1.weight": (64, 64, 3, 3),
    "backbone_2d.blocks.0.2.running_var": (64,),
    "backbone_2d.blocks.0.10.weight": (64, 64, 3, 3),
    "backbone_2d.blocks.2.16.weight": (256, 256, 3, 3),
    "backbone_2d.deblocks.0.0.weight": (64, 128, 1, 1),
    "backbone_2d.deblocks.2.0.weight": (256, 128, 4, 4),
    "backbone_2d.deblocks.2.1.bias": (128,),
}
MMDET3D_PILLARS = {
    "voxel_encoder.pfn_layers.0.linear.weight": (64, 10),
    "voxel_encoder.pfn_layers.0.norm.running_mean": (64,),
    "backbone.blocks.0.0.weight": (64, 64, 3, 3),
    "backbone.blocks.0.1.running_var": (64,),
    "backbone.blocks.0.9.weight": (64, 64, 3, 3),
    "backbone.blocks.2.15.weight": (256, 256, 3, 3),
    "neck.deblocks.0.0.weight": (64, 128, 1, 1),
    "neck.deblocks.2.0.weight": (256, 128, 4, 4),
    "neck.deblocks.2.1.bias": (128,),
}
OPENPCDET_VOXELS = {
    "backbone_3d.conv_input.0.weight": (16, 3, 3, 3, 4),
    "backbone_3d.conv1.0.0.weight": (16, 3, 3, 3, 16),
    "backbone_3d.conv2.0.1.running_mean": (32,),
    "backbone_3d.conv3.2.0.weight": (64, 3, 3, 3, 64),
    "backbone_3d.conv4.2.1.bias": (64,),
    "backbone_3d.conv_out.0.weight": (128, 3, 1, 1, 64),
    "backbone_2d.blocks.1.16.weight": (256, 256, 3, 3),
    "backbone_2d.deblocks.1.0.weight": (256, 256, 2, 2),
}
MMDET3D_VOXELS = {
    "middle_encoder.conv_input.0.weight": (16, 3, 3, 3, 4),
    "middle_encoder.encoder_layers.encoder_layer1.0.0.weight": (16, 3, 3, 3, 16),
    "middle_encoder.encoder_layers.encoder_layer2.0.1.running_mean": (32,),
    "middle_encoder.encoder_layers.encoder_layer3.2.0.weight": (64, 3, 3, 3, 64),
    "middle_encoder.encoder_layers.encoder_layer4.2.1.bias": (64,),
    "middle_encoder.conv_out.0.weight": (128, 3, 1, 1, 64),
    "backbone.blocks.1.15.weight": (256, 256, 3, 3),
    "neck.deblocks.1.0.weight": (256, 256, 2, 2),
}


@pytest.mark.parametrize(
    ("encoder", "framework", "expected"),
    [
        ("pillars", "openpcdet", OPENPCDET_PILLARS),
        ("pillars", "mmdet3d", MMDET3D_PILLARS),
        ("voxels", "openpcdet", OPENPCDET_VOXELS),
        ("voxels", "mmdet3d", MMDET3D_VOXELS),
    ],
)
def test_names_and_there_and_back(request, encoder: str, framework: str, expected: dict):
    module = request.getfixturevalue(encoder)
    content, report = export_encoder(checkpoint_of(module), framework)
    (key, state), *others = content.items()
    assert (key, others) == (dict(openpcdet="model_state", mmdet3d="state_dict")[framework], [])
    assert {name: tuple(state[name].shape) for name in expected} == expected
    assert len(report.moved) == len(state) == len(module.state_dict())
    assert (report.left, report.shapes, report.kept) == ([], [], [])

    back, report = import_encoder(content | dict(state | {"dense_head.conv.weight": torch.zeros(1)}), framework)
    loaded = {name.removeprefix("backbone."): tensor for name, tensor in back["state_dict"].items()}
    assert loaded.keys() == module.state_dict().keys()
    for name, tensor in module.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def their_pillars(points: torch.Tensor, state: dict, legacy: bool) -> torch.Tensor:
    """The VFE of the other frameworks on ten features a point, over points of the pillar from (2, 3) to (2.5, 3.5)."""
    xyz = points[:, :3]
    offset = xyz - torch.tensor([2.25, 3.25, -1.0])
    first = torch.cat([offset, points[:, 3:]], dim=1) if legacy else points
    features = torch.cat([first, xyz - xyz.mean(dim=0), offset], dim=1) @ state["linear.weight"].T
    scale = state["norm.weight"] / (state["norm.running_var"] + 1e-3).sqrt()
    return ((features - state["norm.running_mean"]) * scale + state["norm.bias"]).relu().amax(dim=0)


@pytest.mark.parametrize(("framework", "prefix"), [("openpcdet", "vfe."), ("mmdet3d", "voxel_encoder.")])
@pytest.mark.parametrize("legacy", [False, True])
def test_imported_pillars_see_the_same(pillars: PillarEncoder, framework: str, prefix: str, legacy: bool):
    content, _ = export_encoder(checkpoint_of(pillars), framework)
    (state,) = content.values()
    weight = f"{prefix}pfn_layers.0.linear.weight"
    state[weight] = torch.randn(64, 10, generator=torch.Generator().manual_seed(1))
    back, _ = import_encoder(content, framework, legacy=legacy)
    encoder = PillarEncoder(GRID, 4, "kitti").eval()
    encoder.load_state_dict({name.removeprefix("backbone."): tensor for name, tensor in back["state_dict"].items()})
    low, size = torch.tensor([2.0, 3, -2.5, 0]), torch.tensor([0.5, 0.5, 3, 1])
    points = low + size * torch.rand(20, 4, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        seen = encoder.pillars([points])[0, :, 22, 20]  # row and column of the pillar
    own = {name.removeprefix(f"{prefix}pfn_layers.0."): tensor for name, tensor in state.items()}
    torch.testing.assert_close(seen, their_pillars(points, own, legacy), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("framework", "prefix"), [("openpcdet", "vfe."), ("mmdet3d", "voxel_encoder.")])
def test_exported_pillars_see_the_same(pillars: PillarEncoder, framework: str, prefix: str):
    (state,) = export_encoder(checkpoint_of(pillars), framework)[0].values()
    points = torch.tensor([2.0, 3, -2.5, 0]) + torch.rand(20, 4) * torch.tensor([0.5, 0.5, 3, 1])
    with torch.no_grad():
        seen = pillars.pillars([points])[0, :, 22, 20]
    own = {name.removeprefix(f"{prefix}pfn_layers.0."): tensor for name, tensor in state.items()}
    torch.testing.assert_close(their_pillars(points, own, False), seen, atol=1e-4, rtol=1e-4)


def test_only_what_agrees_in_shape_takes_a_place(pillars: PillarEncoder):
    whole, _ = export_encoder(checkpoint_of(pillars), "openpcdet")
    theirs = dict(model_state={name: torch.full_like(tensor, 7) for name, tensor in whole["model_state"].items()})
    theirs["model_state"]["backbone_2d.blocks.0.1.weight"] = torch.zeros(32, 64, 3, 3)
    theirs["model_state"]["backbone_2d.blocks.3.1.weight"] = torch.zeros(1)
    theirs["model_state"]["dense_head.conv.weight"] = torch.zeros(3)
    del theirs["model_state"]["backbone_2d.deblocks.0.1.bias"]
    content, report = export_encoder(checkpoint_of(pillars), "openpcdet", theirs)
    assert content["model_state"].keys() == theirs["model_state"].keys()
    assert torch.equal(content["model_state"]["vfe.pfn_layers.0.norm.bias"], pillars.pillars.norm.bias)
    assert not content["model_state"]["dense_head.conv.weight"].any()
    assert report.shapes == [
        "backbone.blocks.0.1.weight (64, 64, 3, 3) -> backbone_2d.blocks.0.1.weight (32, 64, 3, 3)",
        "backbone.deblocks.0.1.bias (128,) -> backbone_2d.deblocks.0.1.bias no such tensor",
    ]
    assert report.kept == ["backbone_2d.blocks.0.1.weight", "backbone_2d.blocks.3.1.weight"]
    assert len(report.moved) == len(pillars.state_dict()) - 2


def test_heads_stay_behind_and_prefixes_of_points_are_known(pillars: PillarEncoder):
    (state,) = export_encoder(checkpoint_of(pillars), "mmdet3d")[0].values()
    state = {f"pts_{name}": tensor for name, tensor in state.items()} | {"pts_bbox_head.weight": torch.zeros(1)}
    back, report = import_encoder(dict(state_dict=state), "mmdet3d")
    assert report.left == ["pts_bbox_head.weight"]
    assert len(back["state_dict"]) == len(pillars.state_dict())


@pytest.mark.parametrize("framework", ["openpcdet", "mmdet3d"])
def test_a_convolution_in_the_neck_gives_the_same_map(framework: str):
    module = randomised(PillarEncoder(GRID, 4, "nuscenes"))
    content, _ = export_encoder(checkpoint_of(module), framework, conv_for_no_stride=True)
    (state,) = content.values()
    neck = dict(openpcdet="backbone_2d", mmdet3d="neck")[framework]
    maps = torch.rand(1, 128, 4, 4, generator=torch.Generator().manual_seed(0))
    convolved = torch.nn.functional.conv2d(maps, state[f"{neck}.deblocks.1.0.weight"])
    torch.testing.assert_close(convolved, module.backbone.deblocks[1][0](maps), atol=1e-4, rtol=1e-4)
    back, _ = import_encoder(content, framework, conv_for_no_stride=True)
    for name, tensor in module.state_dict().items():
        assert torch.equal(back["state_dict"][f"backbone.{name}"], tensor), name


def test_weights_of_spconv_1_are_turned(voxels: SparseEncoder):
    content, _ = export_encoder(checkpoint_of(voxels), "openpcdet")
    state = content["model_state"]
    old = {name: tensor.permute(1, 2, 3, 4, 0) if tensor.ndim == 5 else tensor for name, tensor in state.items()}
    back, _ = import_encoder(dict(model_state=old), "openpcdet")
    for name, tensor in voxels.state_dict().items():
        assert torch.equal(back["state_dict"][f"backbone.{name}"], tensor), name


def test_a_checkpoint_without_an_encoder():
    with pytest.raises(ValueError, match="no tensor of the checkpoint fits"):
        import_encoder(dict(model_state={"image_backbone.weight": torch.zeros(1)}), "openpcdet")


def test_the_command_reports_and_its_file_is_an_init(pillars: PillarEncoder, tmp_path):
    torch.save(checkpoint_of(pillars), tmp_path / "own.pth")
    export = script("projects/lidar_bev/convert.py", "export", "openpcdet", "own.pth", "theirs.pth")
    done = call(export, tmp_path)
    assert done.returncode == 0, done.stdout
    assert "  pillars.linear.weight -> vfe.pfn_layers.0.linear.weight" in done.stdout
    again = call(export, tmp_path)
    assert (again.returncode, "theirs.pth exists; --force" in again.stdout) == (2, True)
    done = call(script("projects/lidar_bev/convert.py", "import", "openpcdet", "theirs.pth", "back.pth"), tmp_path)
    assert done.returncode == 0, done.stdout
    state = torch.load(tmp_path / "back.pth")["state_dict"]
    assert torch.equal(state["backbone.pillars.linear.weight"], pillars.pillars.linear.weight)
