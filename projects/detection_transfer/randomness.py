"""Random numbers of transforms."""

from functools import cached_property

import numpy as np
import torch


class OwnRandomness:
    """A generator that follows the run's seed and differs between workers and kinds of transforms."""

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng([torch.initial_seed(), *type(self).__name__.encode()])
