"""MMEngine's visualizer imports matplotlib, which takes a second, for a figure that scalars do not need."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from mmengine.registry import VISUALIZERS
from mmengine.visualization import Visualizer
from numpy.typing import NDArray

NO_FIGURE = SimpleNamespace(get_dpi=lambda: None)


@VISUALIZERS.register_module()
class LazyVisualizer(Visualizer):
    """Writes scalars and pictures to its backends; makes a figure to draw on only when an image is set."""

    fig_save: Any

    def _initialize_fig(self, fig_cfg: dict[str, Any]) -> tuple[Any, Any, Any]:
        return None, NO_FIGURE, None

    def set_image(self, image: NDArray[np.uint8]) -> None:
        if self.fig_save is NO_FIGURE:
            self.fig_save_canvas, self.fig_save, self.ax_save = super()._initialize_fig(self.fig_save_cfg)
            self.dpi = self.fig_save.get_dpi()
        super().set_image(image)
