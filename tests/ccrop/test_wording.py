"""Numbers agree with their nouns."""

from ccrop.wording import counted


def test_one_is_singular():
    assert [counted(number, "process") for number in (0, 1, 2)] == ["0 processes", "1 process", "2 processes"]
    assert counted(1234, "image") == "1,234 images"
    assert counted(2, "box") == "2 boxes"
