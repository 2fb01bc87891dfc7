"""What a pretraining found, for a detector that learns it instead of labels."""

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
            f"{checkpoint} holds no clusters: it takes one of a pretraining with several boxes of each "
            f"{dataset.unit}, such as {example}"
        )
    number, max_boxes, _ = state["boxes"].shape
    store = BoxStore(number, max_boxes, dataset.fingerprint())
    if len(dataset) != len(store) or state["fingerprint"] != store.fingerprint:
        raise ValueError(
            f"the clusters of {checkpoint} are of {len(store)} other {dataset.unit}s than the {len(dataset)} of "
            f"{dataset.data_root} that are trained on: pretrain on these, and train on all of them"
        )
    store.load_state_dict(state)
    return store
