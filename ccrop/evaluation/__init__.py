"""Evaluating a pretrained backbone without a detector."""

from ccrop.evaluation.box_recall import BoxQuality, box_quality, pseudo_box_quality
from ccrop.evaluation.collapse import effective_rank, embedding_std
from ccrop.evaluation.health_verdict import Verdict, judge_pairs, judge_run
from ccrop.evaluation.knn import knn_accuracy, knn_predict
from ccrop.evaluation.linear import choose_learning_rate, linear_probe
from ccrop.evaluation.pairs import PairStatistics, pair_statistics, partners_found

__all__ = [
    "BoxQuality",
    "PairStatistics",
    "Verdict",
    "box_quality",
    "choose_learning_rate",
    "effective_rank",
    "embedding_std",
    "judge_pairs",
    "judge_run",
    "knn_accuracy",
    "knn_predict",
    "linear_probe",
    "pair_statistics",
    "partners_found",
    "pseudo_box_quality",
]
