"""Names of what the arms start from; what they cannot start from is tried with the whole study."""

import pytest

from ccrop.experiments.sources import named_source, named_sources


def test_imagenet_comes_first_where_its_weights_are_named():
    assert named_sources(["a=timm:b", "c.py"], "timm:d") == dict(imagenet="timm:d", a="timm:b", c="c.py")
    assert list(named_sources(["a=timm:b", "c.py"], "timm:d")) == ["imagenet", "a", "c"]
    assert named_sources([], None) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("configs/a_b.py", ("a_b", "configs/a_b.py")),
        ("runs/gauss_{seed}/epoch_3.pth", ("gauss", "runs/gauss_{seed}/epoch_3.pth")),
        ("mine=runs/x/epoch_3.pth", ("mine", "runs/x/epoch_3.pth")),
        ("timm:resnet18", ("resnet18", "timm:resnet18")),
        ("mine=timm:resnet18", ("mine", "timm:resnet18")),
    ],
)
def test_names_of_sources(text: str, expected: tuple[str, str]):
    assert named_source(text) == expected
