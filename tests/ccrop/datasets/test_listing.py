"""Which files count as images."""

import os
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from ccrop.datasets import ImageFolder
from ccrop.datasets.listing import list_images


def write_images(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "warning", lines.append)
    return lines


def test_listing_is_sorted_and_relative(tmp_path):
    write_images(tmp_path, ["b.png", "a/z.png", "a/b/c.png", "a.png"])
    assert list_images(tmp_path) == ["a.png", "a/b/c.png", "a/z.png", "b.png"]
    assert list_images(tmp_path, "a") == ["a/b/c.png", "a/z.png"]


def test_listing_takes_images_alone(tmp_path):
    write_images(tmp_path, ["a.png", "B.JPG", "c.JpEg", "d.tiff", ".hidden.png", ".thumbnails/a.png", "e/.trash/f.png"])
    (tmp_path / "notes.txt").touch()
    (tmp_path / "png").touch()
    assert list_images(tmp_path) == ["B.JPG", "a.png", "c.JpEg", "d.tiff"]


def test_listing_follows_links(tmp_path):
    write_images(tmp_path, ["far/a.png"])
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "far")
    assert list_images(tmp_path / "set") == ["linked/a.png"]


def test_a_folder_that_is_reached_again_counts_once(tmp_path, warnings):
    names = [f"{number}.jpg" for number in range(16)]
    write_images(tmp_path / "set", names)
    (tmp_path / "set/images").symlink_to(tmp_path / "set")
    assert list_images(tmp_path / "set") == sorted(names)
    assert warnings == [
        f"{tmp_path}/set/: skipped 1 entries that cannot be read as images, by suffix: folder seen before (1)"
    ]


def test_loops_of_several_links_end(tmp_path):
    write_images(tmp_path, ["a/1.jpg", "b/2.jpg", "c/3.jpg"])
    for one in "abc":
        for other in "abc":
            (tmp_path / one / f"to_{other}").symlink_to(tmp_path / other)
        (tmp_path / one / "up").symlink_to("..")
    (tmp_path / "itself").symlink_to("itself")
    assert list_images(tmp_path) == ["a/1.jpg", "b/2.jpg", "c/3.jpg"]


def test_images_keep_the_path_of_their_own_folder_where_a_link_leads_there_too(tmp_path):
    write_images(tmp_path, ["real/1.jpg"])
    (tmp_path / "alias").symlink_to("real")
    assert list_images(tmp_path) == ["real/1.jpg"]


def test_what_is_passed_over_is_counted_in_one_line(tmp_path, warnings):
    write_images(tmp_path, ["a.jpg", "b.heic", "c.HEIC", "d.txt", "e", ".hidden"])
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("pipe.jpg")
    assert [list_images(tmp_path) for _ in range(2)] == [["a.jpg"]] * 2
    (line,) = warnings
    assert line.startswith(f"{tmp_path}/: skipped 6 entries that cannot be read as images")
    assert all(part in line for part in (".heic (2)", "no regular file (2)", ".txt (1)", "no suffix (1)"))
    assert list_images(tmp_path, beside=(".txt", ".heic")) == ["a.jpg"]
    assert warnings[1].startswith(f"{tmp_path}/: skipped 3 entries")


def test_a_link_to_nothing_is_an_unreadable_image(tmp_path):
    write_images(tmp_path, ["a.jpg"])
    (tmp_path / "b.jpg").symlink_to("gone.jpg")
    assert list_images(tmp_path) == ["a.jpg", "b.jpg"]


def test_all_common_suffixes_are_images(tmp_path):
    suffixes = ("JPG", "avif", "bmp", "jfif", "jp2", "jpe", "jpeg", "png", "tga", "tif", "webp")
    names = [f"0.{suffix}" for suffix in suffixes]
    write_images(tmp_path, names)
    assert [info["path"] for info in map(ImageFolder(tmp_path).get_data_info, range(len(names)))] == names
