"""What ends a training from outside or within its data loading, in one line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.runner import Runner

RESUME = "go on with the same command and --resume"


@contextmanager
def accidents_explained(runner: Runner) -> Iterator[None]:
    """Around a training; an interrupt is logged and goes on its way.

    Raises:
        ChildProcessError: a data-loading worker was killed.
        ValueError: a batch is too small for batch normalization, or a worker failed; gives the last line of its
            traceback.
    """
    try:
        yield
    except KeyboardInterrupt:
        runner.logger.warning(f"Interrupted after {runner.iter} iterations: {RESUME}")
        raise
    except Exception as error:
        text = str(error).strip()
        if text.startswith("DataLoader worker (pid"):
            raise ChildProcessError(
                f"a data-loading worker ended before its time ({text.rstrip('.')}), most likely for want of memory: "
                f"lower train_dataloader.num_workers or batch_size, and {RESUME}"
            ) from error
        if text.startswith("Expected more than 1 value per channel"):
            loader = runner.train_dataloader
            raise ValueError(
                f"batch normalization needs two or more values per channel, and a batch of {loader.batch_size} of "
                f"{len(loader.dataset)} examples gives one: set train_dataloader.batch_size to 2 or more, and train on "
                "as many examples"
            ) from error
        if text.startswith("Caught ") and "Original Traceback" in text:
            raise ValueError(f"a data-loading worker failed: {text.splitlines()[-1]}") from error
        raise
