"""What the command lines of several tools say alike; imports nothing slow."""

import argparse
from collections.abc import Sequence

from mmengine.config import DictAction

INIT_HELP = "weights to start from: a file, timm:NAME, torchvision:NAME, or random"
BACKBONE_HELP = "in place of the config's: timm:NAME, torchvision:NAME or mmdet:resnetDEPTH"


class OptionsAction(DictAction):
    """Options ``K=V`` over a config, as a dictionary; one without ``=`` is an error of the command line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        for value in values:
            if not value.partition("=")[0] or "=" not in value:
                parser.error(f"argument {option_string}: {value} is not of the form KEY=VALUE")
        super().__call__(parser, namespace, values, option_string)
