"""Drawing for the demo set: backgrounds with depth, clutter, and lit, textured objects.

A canvas is `(HEIGHT, WIDTH, 3)` float32 in [0, 1]; points are (x, y) in its pixels. Silhouettes are drawn
finer and averaged, and patterns are softened at the scale of a pixel, so nothing else is supersampled.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

Span = tuple[float, float]  # the least and the most

WIDTH, HEIGHT = 320, 240
FINE = 3  # silhouettes are drawn this many times finer
SHAPES = ("disc", "square", "triangle", "star", "crescent")
TEXTURES = ("striped", "dotted")


@dataclass
class Thing:
    """One object on the canvas, or one piece of clutter.

    Attributes:
        alpha: `(h, w)` uint8, the silhouette; it may lie partly outside the canvas.
        corner: (x, y) of the silhouette's first pixel on the canvas.
        to_object: `(2, 2)` matrix from pixels around the middle to a frame in which the object's area is 1.
        middle: (x, y) of the object's centroid inside `alpha`.
        area: pixels of the whole silhouette.
        category: index into the classes, -1 for clutter.
        base: the row on which it stands, in pixels.
    """

    alpha: np.ndarray
    corner: np.ndarray
    to_object: np.ndarray
    middle: np.ndarray
    area: int
    category: int
    base: float = 0.0


def outline(shape: str, rng: Generator) -> np.ndarray:
    """The shape's outline as `(n, 2)` points around its centroid, with area 1 and slightly wobbly."""
    turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    if shape == "disc":
        points = np.stack((np.cos(turn), np.sin(turn)), 1)
    elif shape == "crescent":
        offset, radius = rng.uniform(0.5, 0.6), rng.uniform(0.8, 0.9)
        x = (1 - radius**2 + offset**2) / (2 * offset)
        outer, inner = np.arccos(x), np.arctan2(np.sqrt(1 - x**2), x - offset)
        out, back = np.linspace(outer, 2 * np.pi - outer, 64), np.linspace(2 * np.pi - inner, inner, 48)
        points = np.concatenate(
            (
                np.stack((np.cos(out), np.sin(out)), 1),
                np.stack((offset + radius * np.cos(back), radius * np.sin(back)), 1),
            )
        )
    elif shape == "blob":
        radius = 1 + sum(rng.uniform(0.2, 0.4) * np.sin(k * turn + rng.uniform(0, 6.3)) for k in (2, 3, 4))
        points = np.clip(radius, 0.25, 2)[:, None] * np.stack((np.cos(turn), np.sin(turn)), 1)
    else:
        radii = {"triangle": (1,) * 3, "square": (1,) * 4, "star": (1, rng.uniform(0.42, 0.5)) * 5}[shape]
        angle = np.arange(len(radii)) * 2 * np.pi / len(radii)
        points = np.array(radii)[:, None] * np.stack((np.cos(angle), np.sin(angle)), 1)
        for _ in range(3):
            following = np.roll(points, -1, 0)
            cut = 0.88 * points + 0.12 * following, 0.12 * points + 0.88 * following
            points = np.stack(cut, 1).reshape(-1, 2)
    angle = np.arctan2(points[:, 1], points[:, 0])
    wobble = sum(rng.normal(0, 0.015) * np.sin(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 5))
    points = points * (1 + wobble)[:, None]
    moments = cv2.moments(points.astype(np.float32))
    centroid = np.array((moments["m10"], moments["m01"])) / moments["m00"]
    return (points - centroid) / np.sqrt(abs(moments["m00"]))


def make_thing(shape: str, side: float, rng: Generator, category: int = -1, stretch: float = 1.3) -> Thing:
    """A thing of area `side`^2 pixels, turned by any angle and stretched by up to `stretch`."""
    first, second = rng.uniform(0, 2 * np.pi, 2)
    ratio = np.sqrt(stretch ** rng.uniform(-1, 1))
    matrix = _rotation(first) @ np.diag((ratio, 1 / ratio)) @ _rotation(second) * side
    points = outline(shape, rng) @ matrix.T
    low = np.floor(points.min(0)) - 1
    width, height = (np.ceil(points.max(0)) + 1 - low).astype(int)
    fine = np.zeros((height * FINE, width * FINE), np.uint8)
    cv2.fillPoly(fine, [np.round(((points - low) * FINE - 0.5) * 16).astype(np.int32)], 255, shift=4)
    alpha = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return Thing(alpha, low.astype(int), np.linalg.inv(matrix), -low, int((alpha > 127).sum()), category)


def overlap(thing: Thing) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the thing meets the canvas: slices of the canvas, and of `thing.alpha` for the same region."""
    return _overlap(thing.corner, thing.alpha.shape)


def draw_scene(things: list[Thing], horizon: float, rng: Generator) -> np.ndarray:
    """The image `(240, 320, 3)` uint8 of the things, back to front, on a background with clutter.

    Args:
        horizon: row where the ground starts, as a fraction of the height.
    """
    angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.1)
    if rng.random() < 0.8:
        angle = rng.uniform(-np.pi, 0)  # most light comes from above
    light = np.array((np.cos(angle), np.sin(angle), height)) / np.hypot(1, height)
    canvas = _background(horizon, rng)
    grain = _noise(rng, HEIGHT, WIDTH, 4, 12)
    _draw_clutter(canvas, light, grain, rng)
    for thing in things:
        _draw_thing(canvas, thing, TEXTURES[thing.category % len(TEXTURES)], light, grain, rng)
    return _expose(canvas, rng)


def _rotation(angle: float) -> np.ndarray:
    return np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))


def _overlap(corner: np.ndarray, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    (x, y), (height, width) = corner, shape
    left, right = np.clip((x, x + width), 0, WIDTH)
    top, bottom = np.clip((y, y + height), 0, HEIGHT)
    return (
        (slice(top, bottom), slice(left, right)),
        (slice(top - y, bottom - y), slice(left - x, right - x)),
    )


def _color(rng: Generator, saturation: Span = (0.1, 0.9), value: Span = (0.2, 0.95)) -> np.ndarray:
    hsv = rng.random(), rng.triangular(saturation[0], saturation[0], saturation[1]), rng.uniform(*value)
    return np.array(colorsys.hsv_to_rgb(*hsv), np.float32)


def _noise(rng: Generator, height: int, width: int, octaves: int, cell: float) -> np.ndarray:
    """Value noise `(height, width)`, about unit variance; the coarsest octave has cells of `cell` pixels."""
    total, weight = np.zeros((height, width), np.float32), 0.0
    for octave in range(octaves):
        size = cell / 2**octave
        if size < 1:
            break
        grid = rng.standard_normal((int(height / size) + 3, int(width / size) + 3), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.6**octave)
        weight += 0.36**octave
    return total * np.float32(1.6 / np.sqrt(weight))


def _draw_thing(
    canvas: np.ndarray, thing: Thing, texture: str, light: np.ndarray, grain: np.ndarray, rng: Generator
) -> None:
    height, width = thing.alpha.shape
    factor = min(1, 48 / np.sqrt(thing.area))
    small = cv2.resize(thing.alpha, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    _drop_shadow(canvas, thing, small, factor, light, rng)
    lit = cv2.resize(_relief(small, light, rng), (width, height))
    region, inside = overlap(thing)
    rows, columns = (
        np.arange(part.start, part.stop) - middle for part, middle in zip(inside, thing.middle[::-1], strict=True)
    )
    pattern = _texture(texture, thing, rows[:, None], columns, rng)
    first, second = _two_colors(rng)
    body = (first + (second - first) * pattern[..., None]) * lit[inside][..., :1] + lit[inside][..., 1:]
    body *= (1 + 0.05 * grain[region])[..., None]
    alpha = (thing.alpha[inside] * np.float32(1 / 255))[..., None]
    canvas[region] += alpha * (body - canvas[region])


def _two_colors(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    first = _color(rng, (0.1, 1), (0.25, 1))
    while True:
        second = _color(rng, (0, 1), (0.15, 1))
        if abs(float((first - second) @ (0.3, 0.6, 0.1))) > 0.28:
            return first, second


def _texture(kind: str, thing: Thing, rows: np.ndarray, columns: np.ndarray, rng: Generator) -> np.ndarray:
    """Mixing weights `(h, w)` of the two colors, each about half, at pixels around the thing's middle."""
    side = np.sqrt(thing.area)
    period = max(rng.uniform(0.22, 0.32), 3.6 / side)  # in the object's frame
    frame = _rotation(rng.uniform(0, 2 * np.pi)) @ thing.to_object / period
    u, v = ((row[0] * columns + row[1] * rows + rng.random()).astype(np.float32) for row in frame)
    if kind == "striped":
        edge = 0.25 - np.abs(u % 1 - 0.5)
    else:
        u, v, tall = u / 1.15, v / (1.15 * 3**0.5), 3**0.5
        edge = 0.37 - np.sqrt(
            np.minimum(
                (u % 1 - 0.5) ** 2 + ((v % 1 - 0.5) * tall) ** 2,
                ((u + 0.5) % 1 - 0.5) ** 2 + (((v + 0.5) % 1 - 0.5) * tall) ** 2,
            )
        )
    return np.clip(0.5 + edge * np.float32(period * side / 1.5), 0, 1)


def _relief(alpha: np.ndarray, light: np.ndarray, rng: Generator) -> np.ndarray:
    """Diffuse shade and highlight `(h, w, 2)` of the silhouette, puffed up like a cushion."""
    depth = cv2.distanceTransform((alpha > 127).astype(np.uint8), cv2.DIST_L2, 5)
    thickness = max(float(depth.max()), 1)
    rim = rng.uniform(0.5, 1) * thickness
    slope = 1 - np.clip(depth / rim, 0, 1)
    relief = cv2.GaussianBlur(np.sqrt(1 - slope**2) * rim, (0, 0), max(0.15 * thickness, 0.8))
    steepness = rng.uniform(0.6, 1)
    x, y = (-steepness * cv2.Sobel(relief, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    length = np.sqrt(x * x + y * y + 1)
    ambient = rng.uniform(0.3, 0.5)
    facing = np.clip((x * light[0] + y * light[1] + light[2]) / length, 0, 1)
    half = light + np.array((0, 0, 1))
    half /= np.linalg.norm(half)
    glancing = np.clip((x * half[0] + y * half[1] + half[2]) / length, 0, 1)
    shine = rng.choice((0, 0.15, 0.4)) * glancing ** rng.uniform(20, 60)
    return np.stack((ambient + (1.3 - ambient) * facing, shine), -1).astype(np.float32)


def _drop_shadow(
    canvas: np.ndarray, thing: Thing, small: np.ndarray, factor: float, light: np.ndarray, rng: Generator
) -> None:
    """Darken the canvas next to the thing; `small` is its silhouette at `factor` of the canvas's scale."""
    side = np.sqrt(thing.area)
    sigma = (0.5 + 0.06 * side) * factor
    pad = int(3 * sigma)
    alpha = cv2.copyMakeBorder(small, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    alpha = cv2.resize(cv2.GaussianBlur(alpha, (0, 0), sigma), None, fx=1 / factor, fy=1 / factor)
    shift = -light[:2] / light[2] * side * rng.uniform(0.05, 0.12) - pad / factor
    region, inside = _overlap(np.round(thing.corner + shift).astype(int), alpha.shape)
    canvas[region] *= 1 - np.float32(rng.uniform(0.3, 0.6) / 255) * alpha[inside][..., None]


def _background(horizon: float, rng: Generator) -> np.ndarray:
    kind = rng.choice(("outdoors", "outdoors", "room", "room", "above", "cloth", "blurred"))
    rows, columns = np.indices((HEIGHT, WIDTH), np.float32)
    if kind in ("outdoors", "room"):
        canvas = np.empty((HEIGHT, WIDTH, 3), np.float32)
        edge = int(horizon * HEIGHT)
        if kind == "outdoors":
            canvas[:] = _sky(rows / HEIGHT, rng)
            _draw_hills(canvas, edge, rng)
        else:
            span = rng.uniform(4, 12) / WIDTH
            canvas[:edge] = _surface(columns[:edge] * span, rows[:edge] * span, 1 / span, rng)
            canvas[max(edge - int(rng.uniform(2, 8)), 0) : edge] *= np.float32(rng.uniform(0.5, 0.9))
        near = (rows[edge:] - edge + 1) / (HEIGHT - edge)
        across, along = rng.uniform(2, 6), rng.uniform(1, 3)
        detail = np.minimum(WIDTH * near / across, (HEIGHT - edge) * near**2 / along)
        vanishing = WIDTH * rng.uniform(0.2, 0.8)
        u, v = (columns[edge:] - vanishing) / WIDTH * across / near, along / near
        haze = np.clip(near * 3, 0, 1)[..., None] * np.float32(0.6) + np.float32(0.4)
        ground = _surface(u, v, detail, rng)
        canvas[edge:] = ground * haze + canvas[max(edge - 1, 0)].mean(0) * (1 - haze)
    elif kind == "above":
        canvas = _land(rng)
    elif kind == "cloth":
        span = rng.uniform(4, 14) / WIDTH
        turn = (_rotation(rng.uniform(0, 6.3)) * span).astype(np.float32)
        points = np.stack((columns, rows), -1) @ turn
        points += 0.06 * _noise(rng, HEIGHT, WIDTH, 2, 80)[..., None]
        canvas = _surface(points[..., 0], points[..., 1], 1 / span, rng)
        canvas *= 1 + 0.08 * _noise(rng, HEIGHT, WIDTH, 2, 100)[..., None]
    else:
        canvas = _land(rng)
        for _ in range(rng.integers(15, 50)):
            center = rng.uniform((0, 0), (WIDTH, HEIGHT)).astype(int)
            cv2.circle(canvas, center.tolist(), int(rng.uniform(4, 35)), _color(rng).tolist(), -1)
        small = cv2.resize(canvas, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), rng.uniform(2, 6))
        canvas[:] = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    across, down = rng.uniform(-0.35, 0.35, 2).tolist()
    canvas *= (1 + across * (columns / WIDTH - 0.5) + down * (rows / HEIGHT - 0.5))[..., None]
    return canvas


def _sky(height: np.ndarray, rng: Generator) -> np.ndarray:
    top, bottom = _color(rng, (0.1, 0.7), (0.35, 0.9)), _color(rng, (0, 0.4), (0.7, 1))
    sky = top + (bottom - top) * np.clip(1.6 * height, 0, 1)[..., None]
    clouds = np.clip(_noise(rng, HEIGHT, WIDTH, 5, 90) * 0.5 + rng.uniform(-0.5, 0.3), 0, 0.8)
    return sky + (np.float32(0.95) - sky) * clouds[..., None]


def _draw_hills(canvas: np.ndarray, edge: int, rng: Generator) -> None:
    color, air = _color(rng, (0.1, 0.6), (0.15, 0.6)), canvas[edge].mean(0)
    rows = np.arange(HEIGHT, dtype=np.float32)[:, None]
    for distance in np.linspace(0.75, 0.25, rng.integers(0, 4)).tolist():
        ridge = edge - (0.3 + np.abs(_noise(rng, 1, WIDTH, 4, 100))) * HEIGHT * 0.12 * distance
        tint = color + (air - color) * distance
        canvas += np.clip(rows - ridge, 0, 1)[..., None] * (tint - canvas)


def _land(rng: Generator) -> np.ndarray:
    """Patches of a few tones with soft borders, as a field looks from above."""
    canvas = np.empty((HEIGHT, WIDTH, 3), np.float32)
    canvas[:] = tone = _color(rng, (0.05, 0.8), (0.25, 0.85))
    for _ in range(rng.integers(1, 4)):
        patch = np.clip(_noise(rng, HEIGHT, WIDTH, 5, rng.uniform(40, 130)) * rng.uniform(1, 6), 0, 1)
        tone = 0.5 * (tone + _color(rng, (0.05, 0.8), (0.1, 1)))
        canvas += patch[..., None] * (tone - canvas)
    return canvas * (1 + 0.06 * _noise(rng, HEIGHT, WIDTH, 3, 6))[..., None]


def _surface(u: np.ndarray, v: np.ndarray, detail: float | np.ndarray, rng: Generator) -> np.ndarray:
    """A material `(h, w, 3)` over surface coordinates u, v, with `detail` pixels per unit of them."""
    kind = rng.choice(("plain", "stripes", "tiles", "planks", "checks"))
    color = _color(rng, (0.05, 0.7), (0.25, 0.9))
    other = color * rng.uniform(0.5, 1.5) + rng.normal(0, 0.06, 3).astype(np.float32)
    shades = rng.normal(0, rng.uniform(0.02, 0.12), 251).astype(np.float32)
    cell_u, cell_v = np.floor(u), np.floor(v)
    if kind == "planks":
        v = v * 0.3 + shades[cell_u.astype(int) % 251] * 17
        cell_v = np.floor(v)
    if kind == "stripes":
        mix = np.clip(0.5 + (0.25 - np.abs(u % 1 - 0.5)) * detail, 0, 1)
    elif kind == "checks":
        mix = np.clip(0.5 + (np.abs(u % 2 - 1) - 0.5) * (np.abs(v % 2 - 1) - 0.5) * 2 * detail, 0, 1)
    elif kind == "plain":
        mix = np.zeros_like(u)
    else:
        long = 0.3 if kind == "planks" else 1
        joint = np.minimum(0.5 - np.abs(u % 1 - 0.5), (0.5 - np.abs(v % 1 - 0.5)) / long)
        mix = np.clip(0.5 + (rng.uniform(0.01, 0.05) - joint) * detail, 0, 1)
    sharp = np.clip((np.asarray(detail, np.float32) - 2) / 8, 0, 1)
    shade = np.zeros_like(u)
    if kind in ("tiles", "planks"):
        shade = shades[(cell_u * 37 + cell_v * 101).astype(int) % 251]
    roughness = rng.uniform(0.02, 0.1)
    fine = _noise(rng, 256, 256, 5, 32)
    fine = cv2.remap(
        fine,
        (u * 24).astype(np.float32),
        (v * 24).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    average = mix.mean()
    mix = average + (mix - average) * sharp
    bright = (1 + (shade + roughness * fine) * sharp).astype(np.float32)
    return (color + (other - color) * mix[..., None].astype(np.float32)) * bright[..., None]


def _draw_clutter(canvas: np.ndarray, light: np.ndarray, grain: np.ndarray, rng: Generator) -> None:
    """Draw lines, soft spots, rods and blobs, which belong to no class, some with the classes' textures."""
    for _ in range(rng.integers(0, 5)):
        start, end = rng.uniform((0, 0), (WIDTH, HEIGHT), (2, 2))
        along = np.linspace(0, 1, 24)[:, None]
        bend = rng.normal(0, 20, 2) * np.sin(np.pi * along)
        points = np.round((start + (end - start) * along + bend) * 16).astype(np.int32)
        line = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.polylines(line, [points], False, 255, int(rng.integers(1, 4)), cv2.LINE_AA, 4)
        x, y, width, height = cv2.boundingRect(line)
        region = slice(y, y + height), slice(x, x + width)
        weight = line[region][..., None] * np.float32(1 / 255)
        canvas[region] += weight * (_color(rng, (0, 0.6), (0.05, 0.9)) - canvas[region])
    for _ in range(rng.integers(1, 8)):
        side = np.exp(rng.uniform(np.log(8), np.log(90)))
        kind = rng.choice(("rod", "blob", "soft"))
        shape, stretch = ("square", 40) if kind == "rod" else ("blob", 2)
        thing = make_thing(shape, side, rng, stretch=stretch)
        thing.corner = np.round(rng.uniform((0, 0), (WIDTH, HEIGHT)) - thing.middle).astype(int)
        if kind == "soft" or rng.random() < 0.5:
            factor = min(1, 32 / side)
            sigma = side * factor * (rng.uniform(0.02, 0.2) if kind == "soft" else 0)
            pad = 1 + int(3 * sigma)
            alpha = cv2.resize(thing.alpha, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            alpha = cv2.copyMakeBorder(alpha, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
            if sigma > 0.3:
                alpha = cv2.GaussianBlur(alpha, (0, 0), sigma)
            alpha = cv2.resize(alpha, None, fx=1 / factor, fy=1 / factor)
            region, inside = _overlap(thing.corner, alpha.shape)
            opacity = np.float32(rng.uniform(0.4, 1) / 255)
            canvas[region] += alpha[inside][..., None] * opacity * (_color(rng) - canvas[region])
        else:
            _draw_thing(canvas, thing, str(rng.choice(TEXTURES)), light, grain, rng)


def _expose(canvas: np.ndarray, rng: Generator) -> np.ndarray:
    """The image `(HEIGHT, WIDTH, 3)` uint8 as seen by a slightly imperfect lens and sensor."""
    image: np.ndarray = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.2, 0.7))
    image *= (rng.uniform(0.85, 1.15) * rng.uniform(0.94, 1.06, 3)).astype(np.float32)
    image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0.003, 0.02))
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
