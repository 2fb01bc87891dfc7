"""Shares of the labels: nested, and by scene."""

import itertools

import numpy as np
import pytest

from ccrop.transfer import drawn_fraction, fraction_of


def test_shares_are_nested_and_rounded_up():
    shares = [drawn_fraction(range(997), share, seed=3) for share in (0.001, 0.01, 0.1, 1.0)]
    assert [len(each) for each in shares] == [1, 10, 100, 997]
    for small, large in itertools.pairwise(shares):
        assert set(small) < set(large)
    assert drawn_fraction(range(997), 0.1, seed=4) != shares[2]
    assert drawn_fraction(range(997), 0.1, seed=3) == shares[2]


def test_scenes_stay_together_and_shares_of_them_are_nested():
    scenes = np.random.default_rng(0).choice(list("abcdefgh"), 50).tolist()
    members = {scene: {i for i in range(50) if scenes[i] == scene} for scene in set(scenes)}
    shares = [set(drawn_fraction(range(50), share, 5, scenes)) for share in (0.05, 0.2, 0.6, 1.0)]
    for share, chosen in zip((0.05, 0.2, 0.6, 1.0), shares, strict=True):
        inside = [own for own in members.values() if own & chosen]
        assert set().union(*inside) == chosen
        assert len(chosen) >= share * 50
        # without the last scene it would be too few
        assert len(chosen) - max(map(len, inside)) < share * 50
    for small, large in itertools.pairwise(shares):
        assert small <= large


def test_only_the_given_examples_are_drawn():
    examples, scenes = [3, 4, 8, 9], {3: "a", 4: "a", 8: "b", 9: "c"}
    for seed in range(5):
        chosen = drawn_fraction(examples, 0.5, seed, scenes)
        assert set(chosen) <= set(examples)
        assert (3 in chosen) == (4 in chosen)
    assert drawn_fraction(examples, 0, 0, scenes) == []


@pytest.mark.parametrize(("text", "share"), [("10%", 0.1), ("0.05", 0.05), ("100%", 1.0), ("1%", 0.01)])
def test_share_of_text(text: str, share: float):
    assert fraction_of(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["0%", "101%", "-0.1", "ten"])
def test_no_share(text: str):
    with pytest.raises(ValueError, match=rf"fraction of labels .* got {text}"):
        fraction_of(text)
