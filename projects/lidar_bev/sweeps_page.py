"""One HTML page with sweeps in 3D and what was found in them: no server, no network, any browser."""

import base64
import html
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.pictures import color_of

TEMPLATE = Path(__file__).with_name("sweeps_page.html")
REACH = 320.0  # meters, the range of centimeters in int16


@contextmanager
def page(
    file: str | Path, title: str, classes: Sequence[str], min_score: float
) -> Iterator[Callable[[str, NDArray, Detections], None]]:
    """Open a page; the function it gives adds a sweep: file name, points ``(N, 3 or more)`` in meters, detections.

    Points are rounded to centimeters, those beyond 320 m are dropped; 120,000 take 1 MB.

    Args:
        file: to write.
        min_score: of the detections, where the page's slider starts.
    """
    colors = [color_of(label) for label in range(len(classes))]
    settings = dict(classes=list(classes), colors=colors, min_score=min_score)
    text = TEMPLATE.read_text(encoding="utf-8").replace("__TITLE__", html.escape(title))
    before, after = text.replace("__SETTINGS__", _json(settings)).split("__SWEEPS__")
    with Path(file).open("w", encoding="utf-8") as stream:

        def add(name: str, points: NDArray, found: Detections) -> None:
            near = points[(abs(points[:, :3]) < REACH).all(axis=1), :3]
            centimeters = (100 * near).round().astype("<i2")
            rows = [
                [*np.round(box.astype(float), 3).tolist(), round(float(score), 4), int(label)]
                for box, score, label in zip(*found[:3], strict=True)
            ]
            content = dict(points=base64.b64encode(centimeters.tobytes()).decode(), boxes=rows)
            stream.write(
                f'<script class="sweep" type="application/json" data-name="{html.escape(name)}">'
                f"{_json(content)}</script>\n"
            )

        stream.write(before)
        yield add
        stream.write(after)


def _json(content: Any) -> str:
    """JSON that no HTML parser takes for a tag."""
    return json.dumps(content).replace("<", "\\u003c")
