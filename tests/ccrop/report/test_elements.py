"""The pieces of a page."""

from ccrop.report import elements, pretraining


def test_facts_break_between_words_and_keep_flags_whole():
    text = elements.facts({"Command": "tools/train.py a_b.py --data-root <x>", "Seed": "0", "Start": ""})
    assert "<td>tools/train.py a_b.py <span>--data-root</span> &lt;x&gt;</td>" in text
    assert "<td>0</td>" in text
    assert "Start" not in text


def test_health_is_explained_only_where_there_is_a_curve():
    one, two = {"z_std": {1: 0.9}}, {"z_std": {1: 0.9, 2: 0.8}}
    assert elements.section("Health", *pretraining.health_charts({"run": one})) == ""
    section = elements.section("Health", *pretraining.health_charts({"run": two}))
    assert "The green band" in section
    assert "A healthy run has not collapsed; whether its features are good is what the neighbors" in section
    assert section.count("<svg") == 1
