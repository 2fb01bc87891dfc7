from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from PIL import Image

from ccrop.datasets.classification import ImageNet
from ccrop.evaluation.knn import note_on_unknown
from ccrop.inference import features
from ccrop.inference.features import class_features


@pytest.mark.parametrize("cats", [0, 2])
def test_test_images_of_classes_without_a_training_image_are_counted(
    cats: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for split, numbers in (("train", dict(cat=cats, dog=1)), ("val", dict(cat=3, dog=1))):
        for name, number in numbers.items():
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for image in range(number):
                Image.new("RGB", (8, 8)).save(folder / f"{image}.png")
    sides = [dict(type=ImageNet, data_root=str(tmp_path), split=split) for split in ("train", "val")]
    hook = dict(bank=sides[0], queries=sides[1], image_size=(8, 8))
    model = SimpleNamespace(data_preprocessor=lambda batch: batch, pooled=lambda images: images.flatten(1))
    said: list[str] = []
    monkeypatch.setattr(features, "say_once", said.append)
    (_, bank_labels), (_, labels), classes = class_features(Config(dict(default_hooks=dict(knn=hook))), model)
    assert classes == ("cat", "dog")
    line = "3 of 4 test images are of classes without a training image: none can be right"
    assert note_on_unknown(bank_labels, labels) == (None if cats else line)
    assert said == ([] if cats else [line])
