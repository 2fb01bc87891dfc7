"""What messages say about continuing."""

import pytest

from ccrop.resume_advice import AGAIN, how_to_resume, resumed_by


def test_a_context_has_its_own_way_and_ends():
    assert how_to_resume() == "run the same command again with --resume"
    with resumed_by(AGAIN):
        assert how_to_resume() == "run the same command again"
    with pytest.raises(KeyboardInterrupt), resumed_by(AGAIN):
        raise KeyboardInterrupt
    assert how_to_resume() == "run the same command again with --resume"
