"""Names of 0.1: an old config builds the classes of today."""

from importlib import import_module
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import TASK_UTILS
from mmengine.utils import get_object_from_string

from ccrop.projects.lidar_bev import grid
from ccrop.projects.lidar_bev.grid import Grid


def test_an_old_name_is_the_same_module():
    assert import_module("projects.lidar_bev.grid") is grid
    assert grid.__name__ == grid.__spec__.name == "ccrop.projects.lidar_bev.grid"
    assert import_module("projects.detection_transfer") is import_module("ccrop.projects.detection_transfer")


@pytest.mark.parametrize("parent", ["projects", "ccrop.projects"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("detection_transfer.metric", "detection_transfer.coco_metric"),
        ("detection_transfer.tiles", "detection_transfer.tile_transforms"),
        ("lidar_bev.clusters", "lidar_bev.localizer"),
        ("lidar_bev.detection.clusters", "lidar_bev.detection.cluster_labels"),
        ("lidar_bev.detection.pseudo_boxes", "lidar_bev.detection.cluster_labels"),
        ("lidar_bev.detection.detector", "lidar_bev.detection.centerpoint"),
        ("detection_transfer.pasting", "detection_transfer.copy_paste_transforms"),
        ("lidar_bev.detection.pasting", "lidar_bev.detection.ground_truth_sampling"),
        ("lidar_bev.detection.labeled_sweeps", "lidar_bev.detection.labeled_sweeps"),
        ("lidar_bev.detection.sampling", "lidar_bev.detection.class_balanced_sampler"),
        ("lidar_bev.pretraining.annotated", "lidar_bev.pretraining.annotated_sweeps"),
        ("lidar_bev.pretraining.views", "lidar_bev.pretraining.pipeline"),
    ],
)
def test_a_renamed_module_is_found_by_its_old_name(parent: str, old: str, new: str):
    module = import_module(f"ccrop.projects.{new}")
    assert import_module(f"{parent}.{old}") is module
    assert module.__name__ == module.__spec__.name == f"ccrop.projects.{new}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ccrop.hooks.annotated.AnnotatedBoxesHook", "ccrop.hooks.annotated_boxes.AnnotatedBoxesHook"),
        ("ccrop.optim.CosineLR", "ccrop.schedule.CosineLR"),
        ("ccrop.models.regions.RegionPairs", "ccrop.models.region_pairs.RegionPairs"),
        ("ccrop.views.scenes.ScenePair", "ccrop.views.scene_views.ScenePair"),
    ],
)
def test_a_class_is_found_by_the_old_name_of_its_module(old: str, new: str):
    assert get_object_from_string(old) is get_object_from_string(new)


def test_an_old_config_builds_classes_of_today(tmp_path: Path):
    file = tmp_path / "old.py"
    file.write_text(
        "custom_imports = dict(imports=['projects.lidar_bev.grid'])\n"
        "grid = dict(type='projects.lidar_bev.grid.Grid', low=(-48, -48, -3), high=(48, 48, 1.8), cell=0.375)\n"
    )
    assert type(TASK_UTILS.build(Config.fromfile(file).grid)) is Grid


@pytest.mark.parametrize("name", ["projects.lidar_bev_of_others", "projects.lidar_bev.nothing"])
def test_other_names_are_not_taken(name: str):
    with pytest.raises(ModuleNotFoundError):
        import_module(name)
