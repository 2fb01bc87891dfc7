from ccrop.schedule import fit_schedule


def test_lengths_of_a_schedule_are_fractions_of_the_run():
    warmup, decay = dict(type="LinearLR", end=0.05), dict(type="CosineLR", begin=0.05)
    steps = dict(type="MultiStepLR", milestones=[0.6, 0.8, 190])
    for epochs, first in ((200, 10), (100, 5), (10, 1), (2, 1)):
        assert fit_schedule([warmup, decay], epochs) == [
            dict(type="LinearLR", begin=0, end=first),
            dict(type="CosineLR", begin=first, end=epochs),
        ]
    assert fit_schedule([warmup, decay], 1) == [dict(type="LinearLR", begin=0, end=1)]
    assert fit_schedule([steps], 200)[0]["milestones"] == [120, 160, 190]
    assert fit_schedule([steps], 5)[0]["milestones"] == [3, 4, 190]
    assert fit_schedule([dict(begin=3, end=7)], 50) == [dict(begin=3, end=7)], "whole numbers are epochs"
    assert warmup == dict(type="LinearLR", end=0.05)
