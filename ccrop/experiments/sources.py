"""What the arms of a comparison of initializations start from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ccrop.checkpoint import RANDOM, is_library, read_weights
from ccrop.config import load_config
from ccrop.transfer.finetuning import IMAGENET

RANDOM_LONG = "random_long"  # the arm that trains longer, by the cost of pretraining
CLUSTERS = "clusters:"


def named_sources(pretrain: Sequence[str], imagenet: str | None) -> dict[str, str]:
    """What each arm except the random ones starts from, ImageNet weights first.

    Args:
        pretrain: see :func:`named_source`.
        imagenet: weights of the arm ``imagenet``, if there is one.

    Raises:
        ValueError: two arms have the same name.
    """
    named = [(IMAGENET, imagenet)] if imagenet else []
    named += map(named_source, pretrain)
    names = [RANDOM, RANDOM_LONG, *(name for name, _ in named)]
    if len(set(names)) < len(names):
        raise ValueError(f"two initializations of {', '.join(names)} have the same name: pass NAME=FILE")
    return dict(named)


def named_source(text: str) -> tuple[str, str]:
    """Name and source of ``NAME=SOURCE`` or ``SOURCE``.

    The default name of a config is its stem, of a checkpoint its folder's, and of a library's weights
    their own.

    Raises:
        ValueError: there is no source.
    """
    name, separator, file = text.rpartition("=")
    if not file:
        raise ValueError(f"--pretrain {text} names no file: pass NAME=FILE")
    if separator:
        return name, file
    if is_library(file):
        return file.partition(":")[2], file
    path = Path(file)
    return (path.stem if is_config(file) else path.parent.name.removesuffix("_{seed}")), file


def is_config(source: str) -> bool:
    """Whether a source is a pretraining config that must be run first."""
    return Path(source).suffix == ".py"


def check_source(sources: Mapping[str, str], arm: str, seed: int, data_root: str) -> None:
    """Refuse, before anything is run, a source that an arm cannot start from.

    Raises:
        FileNotFoundError: its config or its checkpoint does not exist.
        ConnectionError: see :func:`ccrop.checkpoint.read_weights`.
        ccrop.datasets.MissingData, ValueError: see :func:`ccrop.config.load_config`; or it names no pretraining.
    """
    source = sources.get(arm, RANDOM)
    if source.startswith(CLUSTERS):
        other = source.removeprefix(CLUSTERS)
        if sources.get(other, CLUSTERS).startswith(CLUSTERS):
            raise ValueError(f"{source} matches none of {', '.join(sources)}: add its pretraining to --pretrain")
        check_source(sources, other, seed, data_root)
    elif is_config(source):
        load_config(source, data_root)
    elif is_library(source):
        read_weights(source)
    elif source != RANDOM:
        file = source.replace("{seed}", str(seed))
        if not Path(file).is_file():
            raise FileNotFoundError(f"checkpoint {file} of {arm}, seed {seed}, does not exist")
