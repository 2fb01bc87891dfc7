"""Which files a run trains on, whatever kind of data set has them."""

import shutil
from pathlib import Path

from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset

from ccrop.datasets import ImageFolder
from ccrop.datasets.trained_files import innermost, trained_files

BOXES = {"a.jpg": [[0, 0, 4, 4]], "b.jpg": [[1, 2, 5, 6], [0, 0, 3, 3]]}


class Labeled(BaseDataset):
    """As mmdet's: paths with the root in front, and instances."""

    def __init__(self, root: str, boxes: dict[str, list[list[int]]], label: int = 0) -> None:
        self.boxes, self.label = boxes, label
        super().__init__(data_root=root, data_prefix=dict(img="images"))

    def load_data_list(self) -> list[dict]:
        return [
            dict(
                img_path=f"{self.data_prefix['img']}/{name}",
                instances=[dict(bbox=box, bbox_label=self.label) for box in boxes],
            )
            for name, boxes in self.boxes.items()
        ]


def test_the_fingerprint_follows_names_boxes_and_classes_and_not_the_place():
    before = trained_files(Labeled("/data/x", BOXES))
    assert before["files"] == 2
    assert trained_files(Labeled("/moved/elsewhere/", BOXES)) == before
    for other in (
        Labeled("/data/x", {"a.jpg": BOXES["a.jpg"], "c.jpg": BOXES["b.jpg"]}),
        Labeled("/data/x", {"a.jpg": [[0, 0, 4, 5]], "b.jpg": BOXES["b.jpg"]}),
        Labeled("/data/x", BOXES, label=1),
    ):
        found = trained_files(other)
        assert found["files"] == 2
        assert found["fingerprint"] != before["fingerprint"]


def test_wrappers_are_looked_into():
    first, second = Labeled("/x", BOXES), Labeled("/x", {"c.jpg": []})
    assert list(innermost(RepeatDataset(first, 3))) == [first]
    wrapped = ConcatDataset([first, second])
    assert list(innermost(wrapped)) == [first, second]
    assert trained_files(wrapped)["files"] == 3
    assert trained_files(wrapped) != trained_files(ConcatDataset([second, first]))


def test_data_sets_of_pretraining_too(demo_root: Path, tmp_path: Path):
    shutil.copytree(demo_root / "val2017", tmp_path / "moved")
    before = trained_files(ImageFolder(demo_root / "val2017"))
    assert before["files"] == 16
    assert trained_files(ImageFolder(tmp_path / "moved")) == before
    min((tmp_path / "moved").glob("*.jpg")).rename(tmp_path / "moved/z.jpg")
    assert trained_files(ImageFolder(tmp_path / "moved"))["fingerprint"] != before["fingerprint"]
