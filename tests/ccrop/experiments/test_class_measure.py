"""What crops give over random crops."""

from ccrop.experiments.class_measure import SHOWN, gains


def test_gains_are_of_seeds_that_both_have_in_the_mean_over_methods():
    values = {
        ("a_rcrop_cifar10", "0"): 0.50,
        ("a_rcrop_cifar10", "1"): 0.70,
        ("a_ccrop_cifar10_k0.1", "1"): 0.80,
        ("b_rcrop_cifar10", "0"): 0.40,
        ("b_rcrop_cifar10", "1"): 0.40,
        ("b_ccrop_cifar10_k0.1", "0"): 0.41,
        ("b_ccrop_cifar10_k0.1", "1"): 0.43,
        ("b_ccrop_cifar10", "0"): 0.30,
        ("b_ccrop_cifar100", "0"): 0.90,
        ("b_simccrop_cifar10", "0"): 0.90,
    }
    table = [dict(arm=arm, seed=seed) | dict.fromkeys(SHOWN, str(value)) for (arm, seed), value in values.items()]
    assert gains(table).splitlines() == [
        "- ccrop_k0.1 over rcrop, points, mean of 2: kNN, k 20 +6.00, kNN, k 200 +6.00, linear +6.00",
        "- ccrop over rcrop, points, mean of 1: kNN, k 20 -10.00, kNN, k 200 -10.00, linear -10.00",
        "- simccrop over rcrop, points, mean of 1: kNN, k 20 +50.00, kNN, k 200 +50.00, linear +50.00",
    ]
    assert gains(table[:2]) == ""
