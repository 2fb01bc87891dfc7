"""A visualizer without a figure until an image is set."""

import numpy as np
from mmengine.visualization import Visualizer

from ccrop.compat.visualizer import NO_FIGURE, LazyVisualizer


def test_an_image_is_drawn_on_as_with_mmengines_own():
    image = np.full((8, 12, 3), 100, np.uint8)
    lazy, plain = LazyVisualizer(), Visualizer()
    assert lazy.fig_save is NO_FIGURE
    drawn = []
    for visualizer in (lazy, plain):
        visualizer.set_image(image)
        visualizer.draw_bboxes(np.array([2, 2, 7, 6]), edge_colors="r")
        drawn.append(visualizer.get_image())
    assert not np.array_equal(drawn[0], image)
    np.testing.assert_array_equal(*drawn)
