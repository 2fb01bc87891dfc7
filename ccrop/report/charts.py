"""Line and bar charts as inline SVG, which a page of one file can hold and a phone can scale."""

import itertools
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 56, 10, 28, 30  # the left one holds labels such as 0.00015
COLORS = (
    "#1f6feb",
    "#d1242f",
    "#1a7f37",
    "#9a6700",
    "#8250df",
    "#bc4c00",
    "#0a7d8c",
    "#57606a",
    "#bf3989",
    "#4d7c0f",
    "#0f172a",
    "#eab308",
)
INK, FAINT, GOOD = "#1f2328", "#d0d7de", "#2da44e"
PERCENT_SPAN = 0.1  # that an axis of percents shows at least: from 11.0 to 11.1 % is no rise


class Range(NamedTuple):
    """Values from low to high."""

    low: float
    high: float


def line_chart(
    title: str,
    lines: Mapping[str, Mapping[int, float] | Mapping[float, float]],
    x_label: str = "epoch",
    healthy: Range | None = None,
    shown: Range | None = None,
    percent: bool = False,
    x_names: Mapping[float, str] | None = None,
) -> str:
    """A chart of one scalar.

    Args:
        lines: name of a run -> step -> value; values that are not finite are left out. A single step is not a curve.
        healthy: a range that is drawn behind the lines, up to the chart's edge where an end is infinite.
        shown: values that the vertical axis shows at least, so that a healthy wobble does not look like a crash.
        percent: values are in [0, 1] and written as percents, on an axis of at least 10 points.
        x_names: labels of some steps below the axis, instead of round numbers.
    """
    points = {
        name: sorted((x, y) for x, y in line.items() if math.isfinite(x) and math.isfinite(y))
        for name, line in lines.items()
    }
    colors = dict(zip(points, itertools.cycle(COLORS)))
    points = {name: line for name, line in points.items() if line}
    if not points:
        return ""
    every = [point for line in points.values() for point in line]
    across = padded([x for x, _ in every], 0)
    if len({x for x, _ in every}) == 1:
        return ""
    steps = ticks(*across, number=5)
    if all(float(x).is_integer() for x, _ in every):  # epochs and iterations: no label between two of them
        steps = [tick for tick in steps if float(tick).is_integer()]
    limits = [y for _, y in every]
    for each in (shown, healthy):
        limits += [value for value in each or () if math.isfinite(value)]
    if percent and max(limits) - min(limits) < PERCENT_SPAN:
        low = min(max((min(limits) + max(limits) - PERCENT_SPAN) / 2, 0), 1 - PERCENT_SPAN)
        limits += [low, low + PERCENT_SPAN]
    up = padded(limits, 0.04)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (WIDTH - LEFT - RIGHT) * (x - across.low) / (across.high - across.low),
            HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - up.low) / (up.high - up.low),
        )

    parts = []
    if healthy is not None:
        low, high = max(healthy.low, up.low), min(healthy.high, up.high)
        (left, above), (right, below) = place(across.low, high), place(across.high, low)
        parts.append(
            f'<rect class="healthy" x="{left:.1f}" y="{above:.1f}" width="{right - left:.1f}" '
            f'height="{below - above:.1f}" fill="{GOOD}" fill-opacity="0.13"/>'
            f'<text x="{right - 3:.1f}" y="{above + 11:.1f}" text-anchor="end" fill="{GOOD}">healthy</text>'
        )
    for tick, name in labeled(ticks(*up), percent).items():
        x, y = place(across.low, tick)
        parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{FAINT}" stroke-width="0.7"/>'
            f'<text x="{x - 5:.1f}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
        )
    for tick, name in (x_names or {tick: label(tick, digits=6) for tick in steps}).items():
        x, y = place(tick, up.low)
        parts.append(f'<text x="{x:.1f}" y="{y + 14:.1f}" text-anchor="middle">{escape(name)}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end">{escape(x_label)}</text>')
    for name, line in points.items():
        color = colors[name]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.8"><title>{escape(name)}</title>'
            "</polyline>"
        )
        if len(line) <= 24:
            spots = (place(*point) for point in line)
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{color}"/>' for x, y in spots]
    last = next(iter(points.values()))[-1][1]
    if len(points) == 1:
        title += f": {label(last, percent, digits=4)}"
    return _svg(title, parts)


def bar_chart(title: str, bars: Mapping[str, float], percent: bool = False) -> str:
    """Horizontal bars from 0, one a name; those that are not finite are left out."""
    bars = {name: value for name, value in bars.items() if math.isfinite(value)}
    if not bars:
        return ""
    top = max(*bars.values(), 0) or 1
    left, step = min(max(110, 10 + 7 * max(map(len, bars))), WIDTH - 122), 24  # bars keep 60 pixels, values 62
    parts = []
    for number, (name, value) in enumerate(bars.items()):
        y = TOP + 6 + number * step
        width = (WIDTH - left - 62) * max(value, 0) / top
        parts.append(
            f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{left}" y="{y}" width="{width:.1f}" height="16" fill="{COLORS[0]}"/>'
            f'<text x="{left + width + 5:.1f}" y="{y + 12}">{label(value, percent, digits=3)}</text>'
        )
    return _svg(title, parts, TOP + 12 + step * len(bars))


def dot_chart(title: str, groups: Mapping[str, Sequence[float]], means: Mapping[str, tuple[float, float]]) -> str:
    """A row per group: its values as dots, its mean as a bar, and the interval around the mean as a line.

    Args:
        groups: name -> values; groups without any are left out.
        means: name -> mean and half of its interval, nan if it has none.
    """
    groups = {name: values for name, values in groups.items() if values}
    if not groups:
        return ""
    ends = [mean + side * (0 if math.isnan(half) else half) for mean, half in means.values() for side in (-1, 1)]
    across = padded([*(value for values in groups.values() for value in values), *ends], 0.05)
    left, step = 146, 24
    floor = TOP + 8 + step * len(groups)

    def place(value: float) -> float:
        return left + (WIDTH - RIGHT - left) * (value - across.low) / (across.high - across.low)

    parts = []
    for tick, name in labeled(ticks(*across)).items():
        x = place(tick)
        parts.append(
            f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{floor}" stroke="{FAINT}" stroke-width="0.7"/>'
            f'<text x="{x:.1f}" y="{floor + 14}" text-anchor="middle">{name}</text>'
        )
    for number, (name, values) in enumerate(groups.items()):
        y = TOP + 8 + step * number + step / 2 - 4
        mean, half = means[name]
        shown = name if len(name) <= 20 else name[:19] + "…"
        parts.append(
            f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{escape(shown)}<title>{escape(name)}</title></text>'
        )
        if not math.isnan(half):
            parts.append(
                f'<line x1="{place(mean - half):.1f}" y1="{y}" x2="{place(mean + half):.1f}" y2="{y}" stroke="{INK}"/>'
            )
        parts += [
            f'<circle cx="{place(value):.1f}" cy="{y}" r="3.2" fill="{COLORS[0]}" fill-opacity="0.7"/>'
            for value in values
        ]
        x = place(mean)
        parts.append(
            f'<line x1="{x:.1f}" y1="{y - 7}" x2="{x:.1f}" y2="{y + 7}" stroke="{COLORS[1]}" stroke-width="2.4"/>'
        )
    return _svg(title, parts, floor + 22)


def histogram(title: str, counts: Sequence[int], edges: Sequence[str]) -> str:
    """Bars of equal width, one a count, over labels at even distances from the first edge to the last."""
    top = max([*counts, 1])
    width = (WIDTH - 2 * RIGHT) / len(counts)
    floor = HEIGHT - BOTTOM
    parts = [f'<line x1="{RIGHT}" y1="{floor}" x2="{WIDTH - RIGHT}" y2="{floor}" stroke="{INK}" stroke-width="0.7"/>']
    for number, count in enumerate(counts):
        height = (floor - TOP) * count / top
        parts.append(
            f'<rect x="{RIGHT + number * width:.1f}" y="{floor - height:.1f}" width="{width - 0.8:.1f}" '
            f'height="{height:.1f}" fill="{COLORS[0]}"/>'
        )
    for number, edge in enumerate(edges):
        x = RIGHT + (WIDTH - 2 * RIGHT) * number / (len(edges) - 1)
        anchor = "start" if number == 0 else "end" if number == len(edges) - 1 else "middle"
        parts.append(f'<text x="{x:.1f}" y="{floor + 14}" text-anchor="{anchor}">{escape(edge)}</text>')
    return _svg(title, parts)


def padded(values: Sequence[float], margin: float) -> Range:
    """The range of values, wider by a fraction of itself at both ends; never empty."""
    low, high = min(values), max(values)
    if low == high:
        half = 0.1 * abs(low) or 0.5
        return Range(low - half, high + half)
    return Range(low - margin * (high - low), high + margin * (high - low))


def ticks(low: float, high: float, number: int = 4) -> list[float]:
    """About this many round values (1, 2 or 5 times a power of ten apart) from low to high, and at least two."""
    rough = (high - low) / number
    power = 10.0 ** math.floor(math.log10(rough))
    steps = [each * power for each in (0.5, 1, 2, 5, 10)]
    place = next(index for index, step in enumerate(steps) if step >= rough * 0.999)
    found = _multiples(steps[place], low, high)
    return found if len(found) > 1 else _multiples(steps[place - 1], low, high)


def _multiples(step: float, low: float, high: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    return [step * place for place in range(first, math.floor(high / step + 1e-9) + 1)]


def labeled(values: Sequence[float], percent: bool = False) -> dict[float, str]:
    """Ticks and their labels, of as few digits as tell them apart."""
    for digits in range(3, 8):
        labels = [label(value, percent, digits) for value in values]
        if len(set(labels)) == len(labels):
            break
    return dict(zip(values, labels, strict=True))


def label(value: float, percent: bool = False, digits: int = 3) -> str:
    """A number of few digits, or a percentage of at most two decimals."""
    return (
        f"{round(100 * value, 2):.{digits}g}%"
        if percent
        else f"{value:.{digits}g}"
        if abs(value) < 1e5
        else f"{value:.1e}"
    )


def _svg(title: str, parts: Sequence[str], height: int = HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}" font-size="11" fill="{INK}">'
        f'<text x="{RIGHT}" y="16" font-size="13" font-weight="600">{escape(title)}</text>{"".join(parts)}</svg>'
    )
