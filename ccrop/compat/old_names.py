"""Modules that configs of earlier runs name: ``projects.X`` of 0.1 is ``ccrop.projects.X``, and some have new names."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

PARENT = "projects"
MOVED = (f"{PARENT}.detection_transfer", f"{PARENT}.lidar_bev")
RENAMED = {
    "ccrop.hooks.annotated": "ccrop.hooks.annotated_boxes",
    "ccrop.models.regions": "ccrop.models.region_pairs",
    "ccrop.views.scenes": "ccrop.views.scene_views",
    "ccrop.projects.detection_transfer.metric": "ccrop.projects.detection_transfer.coco_metric",
    "ccrop.projects.detection_transfer.pasting": "ccrop.projects.detection_transfer.copy_paste_transforms",
    "ccrop.projects.detection_transfer.tiles": "ccrop.projects.detection_transfer.tile_transforms",
    "ccrop.projects.lidar_bev.clusters": "ccrop.projects.lidar_bev.localizer",
    "ccrop.projects.lidar_bev.detection.clusters": "ccrop.projects.lidar_bev.detection.cluster_labels",
    "ccrop.projects.lidar_bev.detection.detector": "ccrop.projects.lidar_bev.detection.centerpoint",
    "ccrop.projects.lidar_bev.detection.pseudo_boxes": "ccrop.projects.lidar_bev.detection.cluster_labels",
    "ccrop.projects.lidar_bev.detection.pasting": "ccrop.projects.lidar_bev.detection.ground_truth_sampling",
    "ccrop.projects.lidar_bev.detection.samples": "ccrop.projects.lidar_bev.detection.labeled_sweeps",
    "ccrop.projects.lidar_bev.detection.sampling": "ccrop.projects.lidar_bev.detection.class_balanced_sampler",
    "ccrop.projects.lidar_bev.pretraining.annotated": "ccrop.projects.lidar_bev.pretraining.annotated_sweeps",
    "ccrop.projects.lidar_bev.pretraining.views": "ccrop.projects.lidar_bev.pretraining.pipeline",
    "ccrop.projects.lidar_bev.pseudo.pretraining": "ccrop.projects.lidar_bev.pseudo.pseudo_pretraining",
}


class OldNames(MetaPathFinder, Loader):
    """Gives the module of the new name for an old one, so that no class exists twice.

    Any other package called ``projects`` stays as it is, except for submodules of these two names.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == PARENT:
            return PathFinder.find_spec(fullname, path, target) or ModuleSpec(fullname, self)
        if fullname in RENAMED or any(f"{fullname}.".startswith(f"{moved}.") for moved in MOVED):
            return ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        name = spec.name if spec.name.startswith("ccrop.") else f"ccrop.{spec.name}"
        module = import_module(RENAMED.get(name, name))
        spec.loader_state = module.__spec__  # Python is about to replace it
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None  # Python has just set it
        module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Let old names be imported in this process."""
    if not any(isinstance(finder, OldNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, OldNames())
