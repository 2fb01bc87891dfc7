"""kNN over the regions of whole images: a cheap proxy for what a detector gains."""

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ccrop.datasets import InvalidAnnotations, MissingData, UnreadableFile
from ccrop.inference.annotated_regions import annotated_regions, check_enough_objects, roi_knn
from ccrop.inference.eval_mode import evaluating


class RoIKNNHook(Hook):
    """RoI-kNN before training and every few epochs, if there are annotations.

    If there are no usable ones, it says so once and does nothing.

    Records ``epoch/roi_sN`` and ``epoch/roi_sN_small`` for each stride N, and passes ``roi/sN_SIZE`` for each
    size to the visualizer's backends.

    Args:
        data_root: of a COCO-format set.
        bank_images, query_images: images of the splits train and val that are used.
        interval: epochs between evaluations; the last epoch is always evaluated.
    """

    priority = "NORMAL"

    def __init__(
        self,
        data_root: str | None = None,
        bank_images: int | None = 256,
        query_images: int | None = 256,
        interval: int = 10,
        min_queries: int = 50,
    ) -> None:
        self.data_root = data_root
        self.subsets = dict(train=bank_images, val=query_images)
        self.interval = interval
        self.min_queries = min_queries
        self._rests = False
        self._checked = False

    @master_only
    def before_train(self, runner: Runner) -> None:
        if runner.epoch == 0:
            self._evaluate(runner, finished=0)

    @master_only
    def after_train_epoch(self, runner: Runner) -> None:
        if self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner):
            self._evaluate(runner, finished=runner.epoch + 1)

    def _evaluate(self, runner: Runner, finished: int) -> None:
        if self._rests:
            return
        root = self.data_root
        assert root is not None  # the config's, by now
        try:
            if not self._checked:
                check_enough_objects(root, "val", self.subsets["val"], self.min_queries)
                self._checked = True
            with evaluating(runner) as model:
                bank, queries = (annotated_regions(model, root, split, n) for split, n in self.subsets.items())
            found = roi_knn(bank, queries, min_queries=self.min_queries)
        except MissingData as error:
            self._rests = True
            runner.logger.info(f"No RoI-kNN in this run, for lack of annotations: {str(error).splitlines()[0]}")
            return
        except (InvalidAnnotations, UnreadableFile) as error:
            self._rests = True
            runner.logger.warning(f"The run continues without RoI-kNN: {error}")
            return
        for stride, accuracy in found.items():
            runner.message_hub.update_scalar(f"epoch/roi_s{stride}", accuracy["all"])
            runner.message_hub.update_scalar(f"epoch/roi_s{stride}_small", accuracy["small"])
            by_size = {f"roi/s{stride}_{size}": value for size, value in accuracy.items() if value == value}
            runner.visualizer.add_scalars(by_size, step=finished)
