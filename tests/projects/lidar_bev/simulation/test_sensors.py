import numpy as np
import pytest

from ccrop.projects.lidar_bev.simulation import SENSORS


@pytest.mark.parametrize(("name", "beams", "rays"), [("HDL-64E", 64, 135_552), ("HDL-32E", 32, 34_688)])
def test_rays_of_one_turn(name, beams, rays):
    sensor = SENSORS[name]
    directions = sensor.directions(np.random.default_rng(0))
    assert directions.shape == (rays, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-6)
    elevations = np.degrees(np.arcsin(directions[:, 2])).reshape(beams, -1)
    np.testing.assert_allclose(elevations, np.repeat(sensor.elevations[:, None], rays // beams, axis=1), atol=1e-4)
    azimuths = np.sort(np.degrees(np.arctan2(directions[:, 1], directions[:, 0])).reshape(beams, -1), axis=1)
    np.testing.assert_allclose(np.diff(azimuths, axis=1), 360 / (rays // beams), atol=1e-3)


def test_beams_of_the_hdl_64e():
    elevations = SENSORS["HDL-64E"].elevations
    assert (elevations[0], elevations[-1]) == (2.0, -24.9)
    steps = -np.diff(elevations)
    assert steps[:31] == pytest.approx(np.full(31, 1 / 3), abs=0.001)
    assert steps[31:] == pytest.approx(np.full(32, 0.52), abs=0.03)
