"""What a pretraining found, for a detector that learns it in place of labels."""

from pathlib import Path

from ccrop.compat.checkpoint import load_checkpoint
from ccrop.datasets import BoxStore
from ccrop.datasets.base import LocatedDataset
from ccrop.datasets.stored_boxes import max_boxes_of, num_images_of, restore_boxes


def stored_clusters(checkpoint: str | Path, dataset: LocatedDataset, example: str) -> BoxStore:
    """The clusters that a checkpoint stored for the files of a data set.

    Args:
        example: a config whose checkpoints hold some, for the error.

    Raises:
        ValueError: the checkpoint has no clusters, or those of other files.
        FileNotFoundError: they lie in a file that is not beside it.
    """
    state = load_checkpoint(checkpoint).get("boxes")
    if state is None or max_boxes_of(state) == 1:
        raise ValueError(
            f"{checkpoint} holds no clusters: it takes one of a pretraining with several boxes of each "
            f"{dataset.unit}, such as {example}"
        )
    number, fingerprint = num_images_of(state), dataset.fingerprint()
    if (len(dataset), fingerprint) != (number, state["fingerprint"]):
        raise ValueError(
            f"the clusters of {checkpoint} are of {number} other {dataset.unit}s than the {len(dataset)} of "
            f"{dataset.data_root} that are trained on: pretrain on these, and train on all of them"
        )
    store = BoxStore(number, max_boxes_of(state), fingerprint)
    restore_boxes(store, state, checkpoint)
    return store
