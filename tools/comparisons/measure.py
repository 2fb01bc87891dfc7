"""What a kind of comparison has of its own."""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mmengine.config import Config

from ccrop.datasets import ImageDataset
from ccrop.models import Siamese

# figures in percent of all seeds, by arm and column
Arms = dict[str, dict[str, list[float]]]


class Measure(NamedTuple):
    """A kind of comparison.

    Attributes:
        columns: of the CSV, besides what is known of every run.
        shown: columns of the table, shares in [0, 1], and their titles.
        plotted: two of them.
        fits: whether a config's data can be measured so.
        model: figures of a model in eval mode.
        dataset: figures of the training set as the run left it.
        note: what follows a table of these rows.
    """

    columns: tuple[str, ...]
    shown: dict[str, str]
    plotted: tuple[str, str]
    fits: Callable[[Config], bool]
    model: Callable[[Config, Siamese, argparse.Namespace], dict[str, float]]
    dataset: Callable[[ImageDataset], dict[str, float]] = lambda _: {}
    note: Callable[[Sequence[dict[str, str]]], str] = lambda _: ""
