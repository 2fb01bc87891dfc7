"""What happens around an epoch: localize, watch for collapse, kNN, gallery, progress, checkpoints."""

from ccrop.hooks.annotated_boxes import AnnotatedBoxesHook
from ccrop.hooks.batch_memory import BatchMemoryHook, BatchTooLargeError
from ccrop.hooks.checkpoint import WholeCheckpointHook
from ccrop.hooks.divergence import DivergedError, DivergenceHook
from ccrop.hooks.finetuning_notes import FinetuningHook
from ccrop.hooks.gallery import GalleryHook
from ccrop.hooks.health import HealthHook
from ccrop.hooks.knn import KNNHook
from ccrop.hooks.load_weights import StartHook
from ccrop.hooks.localization import LocalizationHook
from ccrop.hooks.method import MethodHook
from ccrop.hooks.pretraining_notes import SettingsHook
from ccrop.hooks.progress import ProgressHook
from ccrop.hooks.reproducible import ReproducibleHook
from ccrop.hooks.roi_knn import RoIKNNHook
from ccrop.hooks.run_info import RunInfoHook
from ccrop.hooks.steady_logger import SteadyLoggerHook
from ccrop.hooks.unreadable import UnreadableImagesHook
from ccrop.hooks.validation import ValidationHook

__all__ = [
    "AnnotatedBoxesHook",
    "BatchMemoryHook",
    "BatchTooLargeError",
    "DivergedError",
    "DivergenceHook",
    "FinetuningHook",
    "GalleryHook",
    "HealthHook",
    "KNNHook",
    "LocalizationHook",
    "MethodHook",
    "ProgressHook",
    "ReproducibleHook",
    "RoIKNNHook",
    "RunInfoHook",
    "SettingsHook",
    "StartHook",
    "SteadyLoggerHook",
    "UnreadableImagesHook",
    "ValidationHook",
    "WholeCheckpointHook",
]
