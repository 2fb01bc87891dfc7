"""The boxes of a run in its checkpoints: inside if they are small, else in a shared file next to them."""

from pathlib import Path
from typing import Any

from ccrop.datasets.box_store import BoxStore
from ccrop.files import written
from ccrop.resume_advice import how_to_resume

INSIDE = 2**25  # bytes of a store that goes into each checkpoint, which is written every epoch


def saved_boxes(store: BoxStore, folder: str | Path) -> dict[str, Any]:
    """What a checkpoint in a folder says of the boxes.

    A store of more than :data:`INSIDE` is written next to the checkpoints, under a name derived from its content:
    once after each localization, and again only if the file is gone.

    Returns:
        :meth:`BoxStore.state_dict`, or ``file``, its name in the folder, ``num_images``, ``max_boxes`` and
        ``fingerprint``.

    Raises:
        OSError: the disk is full.
    """
    if store.nbytes <= INSIDE:
        return store.state_dict()
    file = Path(folder, _name(store))
    if not file.exists():
        with written(file, store.nbytes, how_to_resume()) as partial:
            store.save(partial)
    return dict(file=file.name, num_images=len(store), max_boxes=store.max_boxes, fingerprint=store.fingerprint)


def _name(store: BoxStore) -> str:
    return f"boxes_{store.digest()}.bin"


def max_boxes_of(state: dict[str, Any]) -> int:
    """K of what a checkpoint says of its boxes."""
    return state["max_boxes"] if "file" in state else state["boxes"].shape[1]


def num_images_of(state: dict[str, Any]) -> int:
    """The images that a checkpoint has boxes of."""
    return state["num_images"] if "file" in state else len(state["boxes"])


def restore_boxes(store: BoxStore, state: dict[str, Any], checkpoint: str | Path) -> None:
    """Give a store the boxes of a checkpoint. Collective.

    Args:
        state: of :func:`saved_boxes`.
        checkpoint: the file that ``state`` is from.

    Raises:
        FileNotFoundError: the boxes belong in a file next to the checkpoint, which is missing.
        ValueError: they are of another data set or of another K, or are damaged.
    """
    if "file" not in state:
        store.load_state_dict(state)
        return
    file = Path(checkpoint).with_name(Path(state["file"]).name)  # only next to it, whatever it says
    if not file.is_file():
        raise FileNotFoundError(
            f"{checkpoint} keeps its boxes in {file.name}, which is missing next to it: copy it from the run's "
            "work_dir as well"
        )
    store.load(file, state)
    if _name(store) != file.name:
        raise ValueError(f"{file} is damaged: its content does not match its name; copy it again")
