"""object-knn and roi-knn: do objects of a class cluster, cut out and scaled up, or in maps of whole images?"""

import argparse

from ccrop.evaluation import knn_predict
from ccrop.evaluation.pairs import SIZES
from ccrop.evaluation.roi_knn import balanced_accuracy
from ccrop.inference.annotated_regions import annotated_regions, check_enough_objects, roi_knn
from ccrop.inference.features import object_features
from ccrop.tools.evaluations.common import give_all_levels, load, percent, print_table


def object_knn(args: argparse.Namespace) -> None:
    """Print a Markdown table with one column per size."""
    config, model = load(args)
    image_size = args.image_size or config.default_hooks.get("knn", {}).get("image_size", (112, 112))
    bank, bank_labels, _ = object_features(model, config.data_root, "train", args.bank, tuple(image_size))
    queries, labels, areas = object_features(model, config.data_root, "val", args.queries, tuple(image_size))
    correct = knn_predict(bank, bank_labels, queries, k=20) == labels
    chosen = {"all": areas >= 0} | {size: (areas >= low) & (areas < high) for size, (low, high) in SIZES.items()}
    print(f"{len(bank)} training and {len(queries)} validation objects of {config.data_root}, k 20, temperature 0.07\n")
    rows = [
        ["objects", *(str(int(each.sum())) for each in chosen.values())],
        ["accuracy, %", *(percent([correct[each].float().mean().item()]) for each in chosen.values())],
        [
            "mean over classes, %",
            *(percent([balanced_accuracy(correct[each], labels[each])]) for each in chosen.values()),
        ],
    ]
    print_table(["object kNN", *chosen], rows)


def region_knn(args: argparse.Namespace) -> None:
    """Print a Markdown table with one row per stride."""
    config, model = load(args)
    check_enough_objects(config.data_root, "val", args.queries)
    give_all_levels(model)
    bank = annotated_regions(model, config.data_root, "train", args.bank)
    queries = annotated_regions(model, config.data_root, "val", args.queries)
    found = roi_knn(bank, queries)
    print(f"mean over classes and background of {config.data_root} in %, k 20, temperature 0.07\n")
    rows = [[f"stride {stride}", *(percent([share]) for share in sizes.values())] for stride, sizes in found.items()]
    print_table(["RoI-kNN", *next(iter(found.values()))], rows)
