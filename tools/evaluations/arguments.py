"""The command line of tools/evaluate.py. The function that runs a command is named, and imported only when needed."""

import argparse
from pathlib import Path

from ccrop.cli import BACKBONE_HELP, INIT_HELP, OptionsAction, at_least, positive, seed
from ccrop.config_names import config_file


def add_model(command: argparse.ArgumentParser) -> None:
    """The arguments that ``common.load`` reads."""
    command.add_argument(
        "checkpoint", nargs="?", type=Path, metavar="CHECKPOINT", help="a checkpoint of a pretraining run"
    )
    command.add_argument("--init", metavar="SOURCE", help=f"instead of a CHECKPOINT, with --config: {INIT_HELP}")
    command.add_argument("--config", type=config_file, help="default: the one in the checkpoint")
    command.add_argument("--data-root", help="the data set's folder; default: that of the run")
    command.add_argument("--network", metavar="NAME", help=f"the backbone {BACKBONE_HELP}")


def add_classes(commands: argparse._SubParsersAction) -> None:
    for name, function, text in (
        ("knn", "image_knn", "weighted kNN accuracy on whole images, or on annotated objects"),
        ("linear", "linear", "accuracy of linear classification on their frozen features"),
    ):
        command = commands.add_parser(name, help=text)
        add_model(command)
        command.add_argument("--images", type=at_least(1), help="examples per side, evenly spaced; default: all")
        command.add_argument(
            "--image-size", type=at_least(1), nargs=2, metavar=("H", "W"), help="default: the config's"
        )
        command.add_argument(
            "--out", type=Path, metavar="FOLDER", help="write per-class metrics and the confusion matrix there"
        )
        if name == "knn":
            command.add_argument(
                "--k", type=at_least(1), nargs="+", default=[20, 200], help="neighbors; default: 20 200"
            )
        else:
            command.add_argument(
                "--lr", type=positive, nargs="+", help="learning rates to try; default: 0.01 0.03 0.1 0.3 1 3"
            )
            command.add_argument("--epochs", type=at_least(1), default=100, help="default: %(default)s")
        command.set_defaults(run=f"classes:{function}")


def add_pairs(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("pairs", help="how much the two views of a pair have in common")
    add_model(command)
    command.add_argument("--split", default="train", help="default: %(default)s")
    command.add_argument("--images", type=at_least(1), help="number of them, evenly spaced (default: all)")
    command.add_argument("--draws", type=at_least(1), default=20, help="pairs per image (default: %(default)s)")
    command.add_argument("--seed", type=seed, default=0, help="default: %(default)s")
    command.set_defaults(run="pairs:pairs")


def add_boxes(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("boxes", help="do the boxes find the annotated objects?")
    add_model(command)
    command.add_argument("--split", default="val", help="default: %(default)s")
    command.add_argument("--images", type=at_least(1), help="number of them, evenly spaced (default: all)")
    command.add_argument("--image-size", type=at_least(1), nargs=2, metavar=("H", "W"), help="default: the config's")
    command.add_argument("--max-boxes", type=int, default=8, help="boxes per image, at most (default: %(default)s)")
    command.add_argument(
        "--levels",
        type=int,
        nargs="+",
        help="feature maps, the finest is 0; 0 to 3 have strides 4, 8, 16, 32 in most networks (default: the last)",
    )
    command.add_argument(
        "--multi-object", nargs="+", action=OptionsAction, metavar="K=V", help="other arguments of MultiObject"
    )
    command.add_argument("--csv", type=Path, metavar="FILE", help="write all metrics to FILE")
    command.set_defaults(run="boxes:boxes")


def add_objects(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("object-knn", help="kNN accuracy on annotated objects, cut out and scaled up")
    add_model(command)
    command.add_argument("--image-size", type=at_least(1), nargs=2, metavar=("H", "W"), help="default: the config's")
    command.add_argument("--bank", type=at_least(1), default=20000, help="training objects (default: %(default)s)")
    command.add_argument("--queries", type=at_least(1), default=5000, help="validation objects (default: %(default)s)")
    command.set_defaults(run="objects:object_knn")

    command = commands.add_parser("roi-knn", help="kNN accuracy on regions of whole images, and on the background")
    add_model(command)
    command.add_argument("--bank", type=at_least(1), default=256, help="training images (default: %(default)s)")
    command.add_argument("--queries", type=at_least(1), default=256, help="validation images (default: %(default)s)")
    command.set_defaults(run="objects:region_knn")


def add_sweeps(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("centers", help="do the boxes find the labeled objects of LiDAR sweeps?")
    add_model(command)
    command.add_argument("--split", help="default: the config's")
    command.add_argument("--classes", nargs="+", help="classes to split recall by; default: the data set's")
    command.add_argument("--sweeps", type=at_least(1), help="number of them, evenly spaced (default: all)")
    command.add_argument(
        "--learned", type=float, nargs="+", metavar="FRACTION", help="weight of the learned heatmap, 0 to 1"
    )
    command.add_argument(
        "--localizer", nargs="+", action=OptionsAction, metavar="K=V", help="the localizer's other arguments"
    )
    command.set_defaults(run="sweeps:centers")

    command = commands.add_parser("window-knn", help="kNN accuracy on labeled objects of LiDAR sweeps")
    add_model(command)
    command.add_argument("--classes", nargs="+", help="default: the data set's")
    command.add_argument("--bank", type=at_least(1), default=64, help="training sweeps (default: %(default)s)")
    command.add_argument("--queries", type=at_least(1), default=40, help="validation sweeps (default: %(default)s)")
    command.set_defaults(run="sweeps:sweep_knn")
