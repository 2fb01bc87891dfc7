"""Linear classification on frozen features, for a whole grid of learning rates in one pass."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEARNING_RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
HELD_OUT = 0.2  # of the training features, to choose a learning rate by


def linear_probe(
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    learning_rates: Sequence[float] = LEARNING_RATES,
    epochs: int = 100,
    batch_size: int = 512,
    seed: int = 0,
) -> dict[float, Tensor]:
    """Predicted classes ``(M,)`` of the test features by learning rate.

    Softmax regression by SGD with momentum 0.9, cosine decay and no weight decay, from zero, on channels that are
    standardized by the training features, like a BN without affine (He et al., CVPR 2022, section A.1).

    Args:
        train, test: features ``(N, C)`` and ``(M, C)`` on one device.
        train_labels: classes ``(N,)``, int64, from 0.
        learning_rates: of separate classifiers, which see the same batches.
        seed: of the order of the features.
    """
    mean, std = train.mean(dim=0), train.std(dim=0).clamp(min=1e-6)
    train, test = ((features - mean) / std for features in (train, test))
    num_classes = int(train_labels.max()) + 1
    classifiers = [nn.Linear(train.shape[1], num_classes, device=train.device) for _ in learning_rates]
    groups = []
    for classifier, lr in zip(classifiers, learning_rates, strict=True):
        nn.init.zeros_(classifier.weight)
        nn.init.zeros_(classifier.bias)
        groups.append(dict(params=list(classifier.parameters()), lr=lr))
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(train) // batch_size))
    generator = torch.Generator().manual_seed(seed)
    with torch.enable_grad():
        for _ in range(epochs):
            for rows in torch.randperm(len(train), generator=generator).to(train.device).split(batch_size):
                features, labels = train[rows], train_labels[rows]
                loss = torch.stack([F.cross_entropy(classifier(features), labels) for classifier in classifiers]).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    with torch.no_grad():
        return {lr: each(test).argmax(dim=1) for lr, each in zip(learning_rates, classifiers, strict=True)}


def choose_learning_rate(
    train: Tensor,
    train_labels: Tensor,
    learning_rates: Sequence[float] = LEARNING_RATES,
    epochs: int = 100,
    batch_size: int = 512,
    seed: int = 0,
) -> float:
    """The rate whose classifier of four fifths of the training features is best on the rest; the lower one of equals.

    A rate chosen on the test features would make their accuracy look better than it is.

    Args:
        train, train_labels, learning_rates, epochs, batch_size, seed: see :func:`linear_probe`.
    """
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).to(train.device)
    number = max(1, round(HELD_OUT * len(train)))
    held_out, learned = order[:number], order[number:]
    settings = (learning_rates, epochs, batch_size, seed)
    found = linear_probe(train[learned], train_labels[learned], train[held_out], *settings)
    correct = {lr: int((predicted == train_labels[held_out]).sum()) for lr, predicted in found.items()}
    return max(sorted(correct), key=correct.__getitem__)
