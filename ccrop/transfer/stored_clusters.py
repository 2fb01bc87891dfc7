"""The clusters of a pretraining run, for a detector that is trained on them instead of labels."""

from pathlib import Path

from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.datasets import BoxStore
from ccrop.datasets.base import LocatedDataset
from ccrop.datasets.checkpointed_boxes import max_boxes_of, num_images_of, restore_boxes


def stored_clusters(checkpoint: str | Path, dataset: LocatedDataset, example: str) -> BoxStore:
    """The clusters that a checkpoint stored for the files of a data set.

    Args:
        example: a config whose checkpoints hold some, for the error.

    Raises:
        ValueError: the checkpoint has no clusters, or those of other files.
        FileNotFoundError: they lie in a file that is not next to it.
    """
    state = load_checkpoint(checkpoint).get("boxes")
    if state is None or max_boxes_of(state) == 1:
        raise ValueError(
            f"{checkpoint} holds no clusters: pass a checkpoint of a pretraining with several "
            f"boxes per {dataset.unit}, such as {example}"
        )
    number, fingerprint = num_images_of(state), dataset.fingerprint()
    if (len(dataset), fingerprint) != (number, state["fingerprint"]):
        raise ValueError(
            f"the clusters of {checkpoint} belong to {number} {dataset.unit}s other than the {len(dataset)} "
            f"training {dataset.unit}s of {dataset.data_root}: pretrain on these, and train on all of them"
        )
    store = BoxStore(number, max_boxes_of(state), fingerprint)
    restore_boxes(store, state, checkpoint)
    return store
