"""Where a fine-tuning step's time goes: data, network, the head's own work, backward pass, optimizer.

python projects/detection_transfer/step_profile.py projects/detection_transfer/configs/tiles_r18.py --data-root ROOT
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from time import perf_counter, process_time

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from torch import nn

from ccrop.cli import OptionsAction, command, command_parser
from ccrop.projects.detection_transfer.data import use_labels
from ccrop.projects.detection_transfer.finetune import load_config
from ccrop.transfer import fraction_of

WARM_UP = 10  # steps
PARTS = ("data", "network", "targets and loss", "backward", "optimizer")
NETWORK = ("backbone", "neck", "bbox_head", "rpn_head")  # modules whose forward passes are the network


class Clock:
    """Seconds by part; of CPU time, or of wall time synchronized with the GPU."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)

    @staticmethod
    def now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            return perf_counter()
        return process_time()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = self.now()
        yield
        self.seconds[name] += self.now() - start

    def watch(self, module: nn.Module) -> None:
        """Count a module's forward passes as the network's."""
        starts: list[float] = []
        module.register_forward_pre_hook(lambda *_: starts.append(self.now()))
        module.register_forward_hook(lambda *_: self._add("network", self.now() - starts.pop()))

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] += seconds


def profile(config: Config, steps: int) -> tuple[list[dict[str, float]], float]:
    """Milliseconds by part of each step, and megapixels of a batch."""
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
        if torch.cuda.is_available():
            model.cuda()
        wrapper = build_optim_wrapper(model, config.optim_wrapper)
        loader = Runner.build_dataloader(config.train_dataloader | dict(num_workers=0, persistent_workers=False))
        clock = Clock()
        for name, module in model.named_modules():
            if name.split(".")[-1] in NETWORK and "backbone." not in name:
                clock.watch(module)
        model.train()
        batches, found, pixels = iter(loader), [], 0.0
        for _ in range(WARM_UP + steps):
            clock.seconds = dict.fromkeys(PARTS, 0.0)
            with clock.part("data"):
                batch = model.data_preprocessor(next(batches), True)
            with clock.part("targets and loss"), wrapper.optim_context(model):
                loss, _ = model.parse_losses(model(**batch, mode="loss"))
            clock.seconds["targets and loss"] -= clock.seconds["network"]
            with clock.part("backward"):
                wrapper.backward(loss)
            with clock.part("optimizer"):
                wrapper.step()
                wrapper.zero_grad()
            found.append({name: 1000 * seconds for name, seconds in clock.seconds.items()})
            pixels += batch["inputs"].shape[0] * batch["inputs"].shape[2:].numel() / 1e6
    return found[WARM_UP:], pixels / len(found)


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="detector configs")
    parser.add_argument("--data-root", help="the data set (default: each config's)")
    parser.add_argument(
        "--labels", type=fraction_of, default=1.0, metavar="FRACTION", help="fraction of the images (default: 100%%)"
    )
    parser.add_argument("--steps", type=int, default=20, help="timed steps (default: %(default)s)")
    parser.add_argument(
        "--cfg-options", nargs="+", action=OptionsAction, metavar="K=V", help="override config settings"
    )
    args = parser.parse_args(argv)
    clock = "GPU" if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"| median ms per step, {clock} | megapixels | {' | '.join(PARTS)} | all |")
    print(f"|{'---|' * (len(PARTS) + 3)}")
    for path in args.configs:
        config = load_config(path, args.data_root, args.cfg_options)
        use_labels(config, args.labels, seed=0)
        found, pixels = profile(config, args.steps)
        parts = [median(each[name] for each in found) for name in PARTS]
        total = median(sum(each.values()) for each in found)
        print(f"| {config.experiment} | {pixels:.2f} | {' | '.join(f'{each:.0f}' for each in [*parts, total])} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
