"""The clusters of a pretraining run, for a detector that is trained on them instead of labels."""

from pathlib import Path

from ccrop.compat.checkpoint import load_checkpoint
from ccrop.datasets import BoxStore
from ccrop.datasets.base import LocatedDataset


def stored_clusters(checkpoint: str | Path, dataset: LocatedDataset, example: str) -> BoxStore:
    """The clusters that a checkpoint stored for the files of a data set.

    Args:
        example: a config whose checkpoints hold some, for the error.

    Raises:
        ValueError: the checkpoint has no clusters, or those of other files.
    """
    state = load_checkpoint(checkpoint).get("boxes")
    if state is None or state["boxes"].shape[1] == 1:
        raise ValueError(
            f"{checkpoint} holds no clusters: pass a checkpoint of a pretraining with several "
            f"boxes per {dataset.unit}, such as {example}"
        )
    number, max_boxes, _ = state["boxes"].shape
    store = BoxStore(number, max_boxes, dataset.fingerprint())
    if len(dataset) != len(store) or state["fingerprint"] != store.fingerprint:
        raise ValueError(
            f"the clusters of {checkpoint} belong to {len(store)} {dataset.unit}s other than the {len(dataset)} "
            f"training {dataset.unit}s of {dataset.data_root}: pretrain on these, and train on all of them"
        )
    store.load_state_dict(state)
    return store
