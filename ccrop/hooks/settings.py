"""Notes in pretraining checkpoints on how they are trained."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class SettingsHook(Hook):
    """Records a run's settings in its checkpoints, see :func:`ccrop.resume_check.pretraining_settings`."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings = settings

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["settings"] = self.settings
