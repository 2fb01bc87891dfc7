"""Which operators of torch run."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

# on an accelerator the host waits for each of these
WAITING = {"_local_scalar_dense", "is_nonzero", "item", "masked_select", "nonzero", "unique_consecutive"}


class Operators(TorchDispatchMode):
    """Counts the operators that run, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Callable:
        self.counts[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))

    @property
    def waiting(self) -> dict[str, int]:
        """How often the host would wait, by operator."""
        return {name: self.counts[name] for name in sorted(WAITING & self.counts.keys())}
