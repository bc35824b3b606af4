import pytest
from PIL import Image

from san.errors import UserError
from san.inputs import find_inputs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """a.jpg, b.PNG, sub/a.jpg, sub/deep/c.tif and files that are no images."""
    (tmp_path / "in" / "sub" / "deep").mkdir(parents=True)
    for name in ("b.PNG", "a.jpg", "sub/a.jpg", "sub/deep/c.tif"):
        Image.new("L", (2, 2)).save(tmp_path / "in" / name)
    for name in ("notes.txt", ".hidden.jpg", "vector.svg"):
        (tmp_path / "in" / name).write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in"


def names(*patterns, **options):
    return [item.name.as_posix() for item in find_inputs(patterns, **options)]


def test_folder_is_sorted_and_keeps_sub_folders(folder):
    assert names(folder) == ["a", "b", "sub/a", "sub/deep/c"]
    assert names("in") == names(folder)
    assert [item.path for item in find_inputs(["in"])][1] == folder / "b.PNG"


def test_results_in_the_folder_are_passed_over(folder):
    assert names("in", exclude="in/sub") == ["a", "b"]
    assert names("in/**/*", exclude=folder / "sub") == ["a", "b", "notes", "vector"]


def test_globs_are_named_from_their_fixed_part(folder):
    assert names("in/*.jpg") == ["a"]
    assert names("in/*/*.jpg") == ["sub/a"]
    assert names("in/**/*.jpg") == ["a", "sub/a"]
    assert names("*/sub/a.jp[g]") == ["in/sub/a"]


def test_a_file_whose_name_looks_like_a_pattern(folder):
    Image.new("L", (2, 2)).save(folder / "x[1].png")
    assert names("in/x[1].png") == ["x[1]"]


def test_order_is_the_users_and_every_file_comes_once(folder):
    assert names("in/b.PNG", "in/a.jpg", "in/./b.PNG", "in") == ["b", "a", "sub/a", "sub/deep/c"]


def test_a_missing_file_is_left_to_the_reader(folder):
    assert names("in/a.jpg", "in/none.jpg") == ["a", "none"]


def test_equal_names_get_their_sub_folders(folder):
    assert names("in/a.jpg", "in/sub/a.jpg") == ["a", "sub/a"]
    assert names("in/sub/a.jpg", "in/sub/deep", "in/a.jpg") == ["sub/a", "sub/deep/c", "a"]


def test_equal_names_in_one_folder_get_their_suffixes(folder):
    Image.new("L", (2, 2)).save(folder / "A.png")
    assert names("in/a.jpg", "in/A.png", "in/b.PNG") == ["a.jpg", "A.png", "b"]


def test_names_that_cannot_be_told_apart(folder):
    Image.new("L", (2, 2)).save(folder / "a.png")
    Image.new("L", (2, 2)).save(folder / "a.jpg.bmp")
    with pytest.raises(UserError, match=r"results named 'a\.jpg': rename one"):
        names("in/a.jpg", "in/a.png", "in/a.jpg.bmp")


@pytest.mark.parametrize("pattern", ["in/*.gif", "nothing/*"])
def test_empty_patterns(folder, pattern):
    with pytest.raises(UserError, match="no file found in"):
        names("in/a.jpg", pattern)


def test_empty_folder(folder):
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match="no image found in 'in/empty': check the path"):
        names("in/empty")
