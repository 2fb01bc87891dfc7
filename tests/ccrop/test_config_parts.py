"""Names of parts become configs, and wrong names one line of advice."""

from pathlib import Path

import pytest
from jobs import ROOT

from ccrop import config_parts
from ccrop.config_parts import UnknownConfig, compose, flagships, holds, listing, nested, summary

CONFIGS = ROOT / "configs"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("a", True),
        ("x", False),
        ("a and b", True),
        ("a and x", False),
        ("x or b", True),
        ("x and a or b and a", True),
        ("x or a and y", False),
        ("ab", False),
    ],
)
def test_a_condition_holds_for_names(condition: str, expected: bool):
    assert holds(condition, {"a", "b"}) is expected


def test_dotted_settings_become_dicts():
    assert nested({"a.b": 1, "a.c.0": dict(d=2), "e": 3}) == {"a": {"b": 1, "c": {"0": {"d": 2}}}, "e": 3}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("simsam_rcrop_coco", r"no method 'simsam' .*: did you mean simsiam\? methods are byol, .*swav$"),
        ("simclr_regoin_coco", r"no crop 'regoin' .*: did you mean region\? crops are objects, rcrop"),
        ("byol_rcrop_cifar", r"no data 'cifar' .*: did you mean cifar10 or cifar100\?"),
        ("simsiam_rcrop_coco_imagenet-r5", r"no variant 'imagenet-r5' .*: did you mean imagenet-r50"),
        ("byol_rcrop_xyz", r"no data 'xyz' to compose it of: data are cifar10, cifar100, coco,"),
        ("simsiam_ccrop_coc", r"no crop 'ccrop' .*single \(one object per image\) or region \(many\)"),
        ("simsiam_ccrop-single_coco", r"no crop 'ccrop-single' .*it is now single; crops are"),
        (
            "detector_pase_coco",
            r"no method 'detector' .*did you mean detector_paste_coco or detector_paste_coco_lite0\?",
        ),
        ("simsiam_coco", r"its name is neither METHOD_CROP_DATA\.py .*did you mean simsiam_ccrop_coco"),
        ("nothing", r"its name is neither METHOD_CROP_DATA\.py .*: tools/train\.py --list shows all"),
    ],
)
def test_an_unknown_name_is_one_line_with_the_nearest(name: str, advice: str):
    with pytest.raises(UnknownConfig, match=advice) as raised:
        compose(CONFIGS / f"{name}.py")
    assert f"config {CONFIGS / name}.py does not exist" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_nearest_complete_configs_are_named_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownConfig, match=r"did you mean detector_paste_coco or detector_paste_coco_lite0\?"):
        compose("detector_pase_coco")


def test_a_variant_says_what_it_goes_with():
    with pytest.raises(ValueError, match=r"simsiam_rcrop_coco_paper\.py: paper works only with cifar and single"):
        compose("simsiam_rcrop_coco_paper.py")


def test_own_parts_beside_a_config_take_precedence(tmp_path: Path):
    for kind in ("methods", "data"):
        (tmp_path / kind).mkdir()
    (tmp_path / "methods/slow.py").write_text(
        "from ccrop.models import SimSiam\n"
        "model = dict(type=SimSiam, backbone=dict(depth=50))\n"
        "optim_wrapper = dict(optimizer=dict(lr=1.0))\n"
        "tags = ('patient',)\n"
        "adjustments = {'mine and single': {'model.backbone.depth': 7}}\n"
    )
    (tmp_path / "data/mine.py").write_text(
        "train_dataloader = dict(batch_size=3)\n"
        "adjustments = {'always': {'optim_wrapper.optimizer.lr': 3.0}, 'patient': {'train_dataloader.batch_size': 5}}\n"
    )
    config = compose(tmp_path / "slow_single_mine.py")
    assert config.filename == str(tmp_path / "slow_single_mine.py")
    assert config.model.type.__name__ == "SimSiam"
    assert config.model.backbone.depth == 7
    assert config.optim_wrapper.optimizer.lr == 3.0
    assert config.train_dataloader.batch_size == 5
    assert config.train_dataloader.dataset.pipeline[0].crop.alpha == 0.6
    assert compose(tmp_path / "slow_rcrop_mine.py").model.backbone.depth == 50
    with pytest.raises(UnknownConfig, match="no method 'slow'"):
        compose("slow_single_mine.py")


def test_a_name_is_that_of_a_python_file():
    assert (
        compose("simsiam_region_demo").filename
        == compose("simsiam_region_demo.py").filename
        == "simsiam_region_demo.py"
    )


def test_data_without_a_demo_or_with_a_variant_have_none():
    assert compose("byol_single_coco.py").demo == "byol_single_demo.py"
    for name in ("byol_single_folder", "byol_single_coco_r18", "byol_single_demo"):
        assert "demo" not in compose(f"{name}.py")


def test_the_list_shows_every_part_and_complete_config_in_its_own_words():
    lines = listing().splitlines()
    for kind in config_parts.KINDS:
        for name, file in config_parts.parts(kind).items():
            assert sum(line.split()[:1] == [name] and line.endswith(summary(file)) for line in lines) == 1, name
    assert {line.split()[0] for line in lines[lines.index("Complete configs") + 1 :]} == set(flagships())
    assert all(summary(file) for kind in config_parts.KINDS for file in config_parts.parts(kind).values())
