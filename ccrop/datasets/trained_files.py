"""Which files a data set of any kind trains on, for a run that resumes on them."""

import hashlib
from collections.abc import Iterator
from typing import Any

from mmengine.dataset import BaseDataset

from ccrop.datasets.base import LocatedDataset


def innermost(dataset: Any) -> Iterator[BaseDataset]:
    """A data set, or those within its wrappers (ConcatDataset, RepeatDataset, MultiImageMixDataset)."""
    if hasattr(dataset, "datasets"):
        for each in dataset.datasets:
            yield from innermost(each)
    elif hasattr(dataset, "dataset"):
        yield from innermost(dataset.dataset)
    else:
        yield dataset


def trained_files(dataset: Any) -> dict[str, Any]:
    """Of all :func:`innermost` data sets, ``files``, how many, and their ``fingerprint``.

    The fingerprint changes when files are added, removed or renamed, or, of mmdet's data sets, when their boxes or
    classes change, but not when the data root moves.
    """
    files, fingerprint = 0, hashlib.sha1()
    for part in innermost(dataset):
        files += len(part)
        if isinstance(part, LocatedDataset):
            fingerprint.update(part.fingerprint().encode())
            continue
        for index in range(len(part)):
            info = part.get_data_info(index)
            name = str(info.get("img_path", "")).removeprefix(str(part.data_root)).lstrip("/")
            objects = [(each.get("bbox"), each.get("bbox_label")) for each in info.get("instances", ())]
            fingerprint.update(repr((name, objects)).encode())
    return dict(files=files, fingerprint=fingerprint.hexdigest())
