import numpy as np
import pytest

from ccrop.projects.lidar_bev.simulation.meshes import Material, box, capsule, ellipsoid, frustum, merged, ring, tube
from ccrop.projects.lidar_bev.simulation.shapes import ROAD_USERS, pole, tree


def volume(mesh):
    """Of a closed mesh whose triangles turn counter-clockwise seen from outside."""
    a, b, c = (mesh.vertices[mesh.triangles[:, i]] for i in range(3))
    return (a * np.cross(b, c)).sum() / 6


def test_volumes_by_hand():
    assert volume(box((-1, 2), 0.5, (1, 3), Material.PAINT)) == pytest.approx(3 * 1 * 2)
    # a pyramid cut at half its height: 7/8 of 1/3 * 4 * 4 * 4
    assert volume(frustum((-2, 2), 2, (0, 2), (-1, 1), 1, Material.PAINT)) == pytest.approx(7 / 8 * 64 / 3)
    octagon = 8 / 2 * np.sin(np.pi / 4)
    assert abs(volume(tube((0, 1, 0), (3, 1, 4), 0.5, Material.METAL))) == pytest.approx(octagon * 0.25 * 5)
    sphere, cylinder = 4 / 3 * np.pi * 0.2**3, np.pi * 0.2**2 * 1.0
    assert abs(volume(capsule((0, 0, 0), (0, 0, 1), 0.2, Material.CLOTH, 24))) == pytest.approx(
        sphere + cylinder, rel=0.06
    )
    assert abs(volume(ellipsoid((5, 5, 5), (1, 2, 3), Material.FOLIAGE, 24))) == pytest.approx(8 * np.pi, rel=0.12)


def test_a_ring_is_flat_with_a_hole():
    mesh = ring((0, 1, 0), 0.34, 0.28, Material.RUBBER)
    assert np.ptp(mesh.vertices[:, 1]) == 0
    radii = np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 2])
    assert (radii.min(), radii.max()) == pytest.approx((0.28, 0.34))
    assert len(mesh.triangles) == 32


def test_placed_and_merged():
    first = box((0, 2), 0.5, (0, 1), Material.PAINT)
    turned = first.placed(10, 0, 5, np.pi / 2)
    assert turned.vertices.min(axis=0) == pytest.approx([9.5, 0, 5])
    assert turned.vertices.max(axis=0) == pytest.approx([10.5, 2, 6])
    both = merged([first, turned])
    assert volume(both) == pytest.approx(4)
    assert both.materials.tolist() == [Material.PAINT] * 24


@pytest.mark.parametrize("name", ROAD_USERS)
def test_road_users_fill_their_boxes_and_stand_on_the_ground(name):
    rng = np.random.default_rng(0)
    for _ in range(50):
        mesh, (length, width, height) = ROAD_USERS[name](rng)
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        assert (low >= np.array([-length / 2, -width / 2, 0]) - 0.021).all()
        assert (high <= np.array([length / 2, width / 2, height]) + 0.021).all()
        assert ((high - low) >= 0.7 * np.array([length, width, height])).all()
        assert low[2] < 0.03
        assert mesh.triangles.max() == len(mesh.vertices) - 1


def test_cars_have_windows_and_clearance():
    mesh = ROAD_USERS["Car"](np.random.default_rng(0)).mesh
    assert (mesh.materials == Material.GLASS).sum() == 8
    painted = mesh.vertices[np.unique(mesh.triangles[mesh.materials == Material.PAINT])]
    assert painted[:, 2].min() == pytest.approx(0.2)


def test_poles_and_trees_stand_upright():
    rng = np.random.default_rng(0)
    for make in (pole, tree):
        mesh = make(rng)
        assert mesh.vertices[:, 2].min() >= 0
        assert mesh.vertices[:, 2].max() > 2
