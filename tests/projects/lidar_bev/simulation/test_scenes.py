import numpy as np
import pytest

from ccrop.projects.lidar_bev.boxes import corners, footprints
from ccrop.projects.lidar_bev.evaluation.polygons import bev_intersections
from ccrop.projects.lidar_bev.simulation import sample_scene
from ccrop.projects.lidar_bev.simulation.scenes import MARGIN, NOTHING
from ccrop.projects.lidar_bev.simulation.streets import Street


@pytest.fixture(scope="module")
def scenes():
    return [sample_scene(np.random.default_rng(seed), 1.73) for seed in range(12)]


@pytest.fixture(scope="module")
def streets():
    """Of the scenes: the same seeds give them."""
    return [Street.sample(np.random.default_rng(seed)) for seed in range(12)]


def test_a_seed_gives_a_scene():
    first, again, other = (sample_scene(np.random.default_rng(seed), 1.73) for seed in (1, 1, 2))
    assert first.names == again.names
    np.testing.assert_array_equal(first.mesh.vertices, again.mesh.vertices)
    assert len(first.mesh.vertices) != len(other.mesh.vertices)


def test_boxes_bound_their_meshes(scenes):
    for scene in scenes:
        for number, box in enumerate(scene.boxes):
            vertices = scene.mesh.vertices[np.unique(scene.mesh.triangles[scene.owners == number])]
            offset = vertices - box[:3]
            cos, sin = np.cos(box[6]), np.sin(box[6])
            local = np.stack(
                [cos * offset[:, 0] + sin * offset[:, 1], cos * offset[:, 1] - sin * offset[:, 0], offset[:, 2]]
            )
            assert (abs(local).max(axis=1) <= box[3:6] / 2 + 0.03).all()


def test_road_users_do_not_overlap(scenes):
    for scene in scenes:
        shrunk = scene.boxes - np.array([0, 0, 0, 2, 2, 0, 0]) * MARGIN
        shared = bev_intersections(shrunk, shrunk)
        np.fill_diagonal(shared, 0)
        assert shared.max(initial=0) < 0.1


def test_vehicles_stand_on_a_road_and_head_along_it_or_park_across(scenes, streets):
    seen = 0
    for scene, street in zip(scenes, streets, strict=True):
        for name, box in zip(scene.names, scene.boxes, strict=True):
            if name not in ("Car", "Van", "Truck"):
                continue
            x, y = footprints(box[None])[0].T
            t = street.line.nearest(x, y)[1]
            kerb = street.half_width + street.parking[(t > 0).astype(int)]
            on_crossing = street.crossed(x, y).all()
            assert on_crossing or (abs(t) < kerb + 0.6).all()
            line = street.crossing if on_crossing else street.line
            s = line.nearest(*box[:2])[0]
            off = (box[6] - line.at(s)[2] + np.pi / 4) % (np.pi / 2) - np.pi / 4
            assert abs(off[0]) < np.radians(14)
            seen += 1
    assert seen > 60


def test_what_lines_the_street_leaves_the_roads_free(scenes, streets):
    for scene, street in zip(scenes, streets, strict=True):
        high = scene.mesh.vertices[np.unique(scene.mesh.triangles[scene.owners == NOTHING])]
        low = high[:, 2] < street.terrain(*high[:, :2].T) - 1.73 + 1.5
        above = (high[:, 2] > street.terrain(*high[:, :2].T) - 1.73 + 0.5) & low
        t = street.line.nearest(*high[above, :2].T)[1]
        assert (abs(t) > street.half_width).all()
        assert not street.crossed(*high[above, :2].T).any()


def test_nobody_stands_where_the_sensors_car_does(scenes):
    for scene in scenes:
        assert np.hypot(*scene.boxes[:, :2].T).min() > 3


def test_all_classes_come_up(scenes):
    names = {name for scene in scenes for name in scene.names}
    assert names == {"Car", "Van", "Truck", "Pedestrian", "Cyclist"}
    assert np.mean([len(scene.names) for scene in scenes]) > 12


def test_the_ground_is_level_below_the_sensor_and_slopes_gently(scenes):
    for seed in range(20):
        street = Street.sample(np.random.default_rng(seed))
        s, t = street.line.nearest(0.0, 0.0)
        assert s == pytest.approx(0)
        assert t == pytest.approx(-street.half_width / 2)
        assert street.ground(0.0, 0.0) == pytest.approx(0)
        assert abs(street.ground(0.7, 0.7)) < 0.02
        x, y, _ = street.line.at(np.arange(-60, 61), -street.half_width / 2)
        along = street.ground(x, y)
        assert abs(np.diff(along)).max() < 0.15
    for scene in scenes:
        bottoms = corners(scene.boxes)[:, 0, 2]
        assert abs(np.median(bottoms) + 1.73) < 0.6


def test_every_triangle_has_an_owner_and_an_albedo(scenes):
    for scene in scenes:
        assert len(scene.owners) == len(scene.albedos) == len(scene.mesh.triangles)
        assert set(np.unique(scene.owners)) == {NOTHING, *range(len(scene.names))}
        assert (scene.albedos > 0).all()
