import numpy as np
import pytest

from ccrop.projects.lidar_bev.simulation import Scene, Sensor, cast
from ccrop.projects.lidar_bev.simulation.casting import LOST, PASSED, WEAK
from ccrop.projects.lidar_bev.simulation.meshes import Material, box, merged

pytest.importorskip("open3d")

LEVEL = Sensor(np.zeros(1), 0.1, 1.73, 120.0, 0.0)  # one level beam, 3600 rays, without noise


def scene_of(*meshes, owned=(), albedo=0.5):
    """Objects ``owned`` are the meshes of these numbers, in their order."""
    owners = [owned.index(i) if i in owned else -1 for i in range(len(meshes))]
    mesh = merged(meshes)
    return Scene(
        mesh=mesh,
        owners=np.repeat(owners, [len(each.triangles) for each in meshes]),
        albedos=np.full(len(mesh.triangles), albedo),
        names=["Car"] * len(owned),
        boxes=np.zeros((len(owned), 7)),
    )


def plate(x, half_width, material=Material.CONCRETE):
    return box((x, x + 0.1), half_width, (-1, 1), material)


def turn(scene, seed=0, sensor=LEVEL):
    return cast(scene, sensor, np.random.default_rng(seed))


def test_points_lie_on_the_surface_and_one_is_lost_now_and_then():
    sweep = turn(scene_of(plate(10, 2), owned=[0]))
    expected = np.degrees(np.arctan2(2, 10)) * 2 / 0.1
    kept = (1 - LOST) * np.exp(-WEAK * 100 / 0.5)
    assert len(sweep.points) == pytest.approx(expected * kept, abs=4 * np.sqrt(expected * kept * (1 - kept)) + 1)
    np.testing.assert_allclose(sweep.points[:, 0], 10, atol=1e-4)
    np.testing.assert_allclose(sweep.points[:, 2], 0, atol=1e-5)
    assert (sweep.objects == 0).all()
    assert sweep.visible.tolist() == [1]


def test_returns_fade_with_distance_and_darkness():
    def share(distance, albedo):
        scene = scene_of(plate(distance, 0.25 * distance), albedo=albedo)
        return np.mean([len(turn(scene, seed).points) for seed in range(8)]) / (2 * np.degrees(np.arctan(0.25)) / 0.1)

    for distance, albedo in [(20, 0.5), (80, 0.5), (80, 0.1), (110, 0.1)]:
        expected = (1 - LOST) * np.exp(-WEAK * distance**2 / albedo)
        assert share(distance, albedo) == pytest.approx(expected, abs=0.05)


def test_nothing_is_measured_out_of_range():
    assert len(turn(scene_of(plate(119, 3))).points) > 5
    assert len(turn(scene_of(plate(120.5, 3))).points) == 0


def test_grazing_returns_are_darker():
    wall = scene_of(box((-60, 60), 0.05, (-1, 1), Material.CONCRETE).placed(0, 2, 0))
    points = turn(wall).points
    distance, cosine = np.hypot(points[:, 0], points[:, 1]), 1.95 / np.hypot(points[:, 0], points[:, 1])
    expected = 0.5 * (0.2 + 0.8 * cosine)
    assert np.corrcoef(points[:, 3], expected)[0, 1] > 0.9
    assert points[distance < 3, 3].mean() == pytest.approx(expected[distance < 3].mean(), abs=0.02)


def test_most_rays_pass_glass():
    behind, pane = plate(10, 2), box((5, 5.0001), 2, (-1, 1), Material.GLASS)
    sweeps = [turn(scene_of(pane, behind, owned=[1]), seed) for seed in range(5)]
    on_pane = np.concatenate([sweep.points[:, 0] < 6 for sweep in sweeps])
    one_way = PASSED[Material.GLASS][0]
    # behind the pane's edges there is nothing: compare rays that meet both
    angle = np.concatenate([abs(np.arctan2(sweep.points[:, 1], sweep.points[:, 0])) for sweep in sweeps])
    both = angle < np.arctan2(2, 10.1)
    assert (1 - on_pane[both]).mean() == pytest.approx(one_way, abs=0.03)


def test_what_hides_an_object_lowers_what_is_visible_of_it():
    # the near plate hides the left half of the far one
    near, far = plate(5, 0.5).placed(0, 0.5, 0), plate(10, 1)
    sweep = turn(scene_of(near, far, owned=[0, 1]))
    assert sweep.visible[0] == 1
    assert sweep.visible[1] == pytest.approx(0.5, abs=0.05)


def test_ranges_are_noisy_along_the_ray():
    scene = scene_of(plate(10, 5))
    errors = np.concatenate(
        [turn(scene, seed, LEVEL._replace(range_noise=0.02)).points[:, 0] - 10 for seed in range(6)]
    )
    assert errors.std() == pytest.approx(0.02, rel=0.15)
    assert errors.mean() == pytest.approx(0, abs=0.002)


def test_an_empty_road_has_no_objects():
    sweep = turn(scene_of(plate(10, 2)))
    assert sweep.visible.shape == (0,)
    assert (sweep.objects == -1).all()
