"""Measuring a pretrained backbone: what fine-tuning and comparisons share for all detectors."""

from ccrop.transfer.finetuning import (
    CORE_SECONDS,
    IMAGENET,
    LR_FACTORS,
    Transfer,
    build_runner,
    join_processes,
    set_iterations,
    set_learning_rate,
    step_tflop,
    train_and_test,
)
from ccrop.transfer.labels import drawn_fraction, fraction_of
from ccrop.transfer.starting_point import start_of
from ccrop.transfer.stored_clusters import stored_clusters

__all__ = [
    "CORE_SECONDS",
    "IMAGENET",
    "LR_FACTORS",
    "Transfer",
    "build_runner",
    "drawn_fraction",
    "fraction_of",
    "join_processes",
    "set_iterations",
    "set_learning_rate",
    "start_of",
    "step_tflop",
    "stored_clusters",
    "train_and_test",
]
