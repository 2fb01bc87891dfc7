"""What a pretrained backbone is worth, without a detector."""

from ccrop.evaluation.boxes import BoxQuality, box_quality, pseudo_box_quality
from ccrop.evaluation.collapse import effective_rank, embedding_std
from ccrop.evaluation.knn import knn_accuracy, knn_predict
from ccrop.evaluation.linear import choose_learning_rate, linear_probe
from ccrop.evaluation.pairs import PairStatistics, pair_statistics

__all__ = [
    "BoxQuality",
    "PairStatistics",
    "box_quality",
    "choose_learning_rate",
    "effective_rank",
    "embedding_std",
    "knn_accuracy",
    "knn_predict",
    "linear_probe",
    "pair_statistics",
    "pseudo_box_quality",
]
