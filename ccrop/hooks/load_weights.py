"""The weights that a run starts from."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ccrop.checkpoint import Normalization, Weights, load_start, require_same_tensors
from ccrop.compat.distributed import unwrapped
from ccrop.models import Siamese


class StartHook(Hook):
    """Loads weights when a run starts, after MMEngine's initialization; records in checkpoints what they expect.

    Args:
        weights: of the backbone, and of heads that the model also has; None keeps the random ones. A resumed
            run keeps its own.
        normalization: of the images that the run trains on.
    """

    priority = "VERY_HIGH"  # before a hook looks at images

    def __init__(self, weights: Weights | None, normalization: Normalization | None) -> None:
        self.weights = weights
        self.normalization = normalization

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """A run is resumed: MMEngine would leave random what the checkpoint lacks or has in another shape.

        Raises:
            ValueError: see :func:`ccrop.checkpoint.require_same_tensors`.
        """
        require_same_tensors(unwrapped(runner.model), checkpoint["state_dict"], runner.cfg.load_from)

    def before_train(self, runner: Runner) -> None:
        if self.weights is None or runner.iter:
            return
        model = unwrapped(runner.model)
        runner.logger.info(load_start(model, self.weights))
        if self.normalization is not None:
            said = "as they expect" if self.weights.normalization else "which their file does not state"
            mean, std = (", ".join(f"{value:.3f}" for value in values) for values in self.normalization)
            runner.logger.info(f"Images are normalized by mean {mean} and std {std}, {said}")
        if isinstance(model, Siamese):
            model.weights_changed()
        self.weights = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if self.normalization is not None:
            checkpoint["normalization"] = {name: list(values) for name, values in self.normalization._asdict().items()}
