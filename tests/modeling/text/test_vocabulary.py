import numpy as np
import pytest

from san.colors import palette, srgb_to_oklab
from san.errors import UserError
from san.modeling.text.vocabulary import (
    MAX_CLASSES,
    Vocabulary,
    check_background_threshold,
    normalize_vocabulary,
)
from san.modeling.text.vocabulary_file import set_background_threshold, write_vocabulary_file


def write(folder, text, name="words.yaml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_order_spelling_and_synonyms_are_kept():
    words = [
        "  Zebra ",
        "sofa|couch",
        ["adding machine, totalizer", "either|or"],
        "traffic \t light",
    ]
    assert normalize_vocabulary(words) == (
        ("Zebra",),
        ("sofa", "couch"),
        ("adding machine, totalizer", "either|or"),
        ("traffic light",),
    )


def test_normalizing_twice_changes_nothing():
    once = normalize_vocabulary(["a|b", ["c|d"], "É"])
    assert normalize_vocabulary(once) == once


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the vocabulary is empty"),
        ("cat", r"a list of words, not 'cat': write \[\"cat\", \"dog\"\]"),
        (None, "a list of words, not None"),
        (["cat", " "], r"class 2 of the vocabulary is ' ', which holds an empty word"),
        (["cat|", "dog"], r"class 1 of the vocabulary is 'cat\|', which holds an empty word"),
        (["cat", []], r"class 2 of the vocabulary is \[\], which holds an empty word"),
        (["cat", 7], "class 2 of the vocabulary is 7, which is not text"),
        (["cat", ["a", None]], r"class 2 of the vocabulary is \['a', None\], which is not text"),
        (["cat", {"a": 1}], "class 2 of the vocabulary is {'a': 1}, which is not text"),
        (["dog", "Cat", "sofa|cat"], "'cat' stands twice in the .* class 2 and in class 3"),
        (["dog", "sofa|Sofa"], "'Sofa' stands twice in the vocabulary, in class 2 and in class 2"),
    ],
)  # fmt: skip
def test_bad_words_are_named(words, message):
    with pytest.raises(UserError, match=message):
        normalize_vocabulary(words)


def test_more_classes_than_a_label_file_holds():
    assert len(normalize_vocabulary([str(i) for i in range(MAX_CLASSES)])) == 65535
    with pytest.raises(UserError, match="65536 classes: at most 65535"):
        normalize_vocabulary([str(i) for i in range(MAX_CLASSES + 1)])


def test_defaults_of_a_list_of_words():
    vocabulary = Vocabulary.from_words(["cat", "sofa|couch"])
    assert len(vocabulary) == 2
    assert vocabulary.names == ("cat", "sofa")
    assert vocabulary.classes == vocabulary.synonyms == (("cat",), ("sofa", "couch"))
    assert vocabulary.ids == (0, 1)
    assert vocabulary.background_threshold is None
    assert vocabulary.templates is None
    assert vocabulary.colors.dtype == np.uint8
    assert vocabulary.colors.shape == (2, 3)


def test_yaml_with_everything(tmp_path):
    path = write(
        tmp_path,
        """
        # a comment
        classes:
          - sky
          - sofa|couch
          - {name: grass, synonyms: [lawn, meadow], color: "#4C9a2a", id: 9}
          - {name: "yes", color: [1, 2, 255]}
        background_threshold: 0.25
        templates: ["a photo of a {}.", "{}"]
        """,
    )
    vocabulary = Vocabulary.from_file(path)
    assert vocabulary.classes == (
        ("sky",),
        ("sofa", "couch"),
        ("grass", "lawn", "meadow"),
        ("yes",),
    )
    assert vocabulary.ids == (0, 1, 9, 3)
    assert vocabulary.colors[2:].tolist() == [[0x4C, 0x9A, 0x2A], [1, 2, 255]]
    assert vocabulary.background_threshold == 0.25
    assert vocabulary.templates == ("a photo of a {}.", "{}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("words.txt", "\ufeff# animals\nBär  # the bear\n\n sofa|couch\nc#\n"),
        ("words", "Bär\nsofa|couch\r\nc#"),
        ("words.yml", "- Bär\n- sofa|couch\n- c#\n"),
        ("words.json", '["Bär", ["sofa", "couch"], "c#"]'),
    ],
)
def test_plain_lists(tmp_path, name, text):
    vocabulary = Vocabulary.from_file(write(tmp_path, text, name))
    assert vocabulary.classes == (("Bär",), ("sofa", "couch"), ("c#",))


@pytest.mark.parametrize("templates", ["vild", "a {}"])
def test_templates_by_name_or_one_prompt(templates):
    vocabulary = Vocabulary.from_words(["cat"], templates=templates)
    assert vocabulary.templates == ("vild" if templates == "vild" else ("a {}",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: [cat\nother: 1", r"words.yaml, line 2: .*write `classes:`"),
        ("- cat\n\t- dog", r"words.yaml, line 2: .*write `classes:`"),
        ("classes:\n- !!python/object/apply:os.system [ls]", r"words.yaml, line 2: .*refused"),
        ("- cat\n- !!python/name:os.system", r"words.yaml, line 2: .*refused"),
        ("", "words.yaml has no list of classes"),
        ("cat", "words.yaml has no list of classes"),
        ("classes: cat", "words.yaml has no list of classes"),
        ("classes: []", "words.yaml: the vocabulary is empty"),
        ("words: [cat]\nclasses: [cat]", "has the unknown key 'words': use classes, back"),
        ("- {name: cat, colour: red}", "class 1 has the unknown key 'colour': use name"),
        ("- {synonyms: [cat]}", "words.yaml, class 1 is {'synonyms'.*give it `name:`"),
        ("- {name: cat, synonyms: kitten}", "words.yaml, class 1 .*`synonyms:` with a list"),
        ("- cat\n- no", "words.yaml: class 2 of the vocabulary is False, which is not text"),
        ("- cat\n- Cat", "words.yaml: 'Cat' stands twice in the vocabulary, in class 1 and"),
        ("- {name: cat, color: red}", "class 'cat' has the color 'red': write \"#rrggbb\""),
        ("- {name: cat, color: [1, 2, 256]}", r"class 'cat' has the color \[1, 2, 256\]"),
        ("- {name: cat, id: -1}", "words.yaml: class 'cat' has the id -1"),
        ("- {name: cat, id: true}", "words.yaml: class 'cat' has the id True"),
        ("- {name: cat, id: 1}\n- dog", "classes 'cat' and 'dog' both have the id 1"),
        ("classes: [cat]\nbackground_threshold: 1.5", "background_threshold is 1.5: give a number"),
        ("classes: [cat]\nbackground_threshold: .nan", "background_threshold is nan: give"),
        ("classes: [cat]\nbackground_threshold: high", "background_threshold is 'high'"),
        ("classes: [cat]\ntemplates: ['a {} {}']", "template 'a {} {}': write text that holds {}"),
        ("classes: [cat]\ntemplates: ['a {} {x}']", "template 'a {} {x}': .* no other braces"),
        ("classes: [cat]\ntemplates: [photo]", "template 'photo': write text that holds {} once"),
        ("classes: [cat]\ntemplates: {}", "templates is {}: give a list of prompts"),
    ],
)  # fmt: skip
def test_bad_files_are_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        Vocabulary.from_file(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"missing.txt cannot be read \(No such file"):
        Vocabulary.from_file(tmp_path / "missing.txt")
    (tmp_path / "latin.txt").write_bytes("Bär".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin.txt is not UTF-8 text \(byte 1\)"):
        Vocabulary.from_file(tmp_path / "latin.txt")


@pytest.mark.parametrize("value", [True, "0.5", -0.1, float("inf")])
def test_background_threshold_is_a_share(value):
    with pytest.raises(UserError, match="background_threshold is"):
        check_background_threshold(value)
    assert check_background_threshold(1) == 1.0


def test_palette_is_distinct_and_independent_of_its_length():
    colors = palette(400)
    assert (palette(7) == colors[:7]).all()
    lab = srgb_to_oklab(colors)
    distance = np.linalg.norm(lab[:, None] - lab, axis=-1) + np.eye(400)
    assert distance[:20, :20].min() > 0.09  # about four times what can just be told apart
    assert distance.min() > 0.02
    assert len(palette(0)) == 0
    before = colors.copy()
    colors[:] = 0  # the caller's own, and not what the next call gives
    assert (palette(400) == before).all()


def test_palette_keeps_away_from_given_colors():
    given = palette(1)
    vocabulary = Vocabulary.from_words(["a", "b"], colors=[None, given[0].tolist()])
    lab = srgb_to_oklab(vocabulary.colors)
    assert vocabulary.colors[1].tolist() == given[0].tolist()
    assert np.linalg.norm(lab[0] - lab[1]) > 0.2


def test_oklab_of_known_colors():
    # White is lightness 1 by definition; the primaries as CSS Color 4 lists them
    lab = srgb_to_oklab([[255, 255, 255], [255, 0, 0], [0, 0, 255]])
    expected = [[1, 0, 0], [0.628, 0.2249, 0.1258], [0.452, -0.0325, -0.3115]]
    np.testing.assert_allclose(lab, expected, atol=1e-3)


def test_some_of_the_classes():
    words = ["sky", "sofa|couch", "cat"]
    whole = Vocabulary.from_words(words, ids=[5, 0, 3], background_threshold=0.5)
    some = whole.select([2, 1])
    assert some.names == ("cat", "sofa") and some.ids == (3, 0)
    assert some.synonyms == (("cat",), ("sofa", "couch"))
    assert np.array_equal(some.colors, whole.colors[[2, 1]])
    assert some.background_threshold == 0.5


def test_a_word_in_two_classes_where_that_is_allowed(tmp_path):
    path = write(tmp_path, "bed|desk\nbed\n", "words.txt")
    assert Vocabulary.from_file(path, allow_duplicates=True).synonyms == (("bed", "desk"), ("bed",))
    with pytest.raises(UserError, match="'bed' stands twice"):
        Vocabulary.from_file(path)


@pytest.mark.parametrize("templates", [None, "photo", ["the {}", "a {}"]])
def test_a_written_file_reads_as_the_same(tmp_path, templates):
    vocabulary = Vocabulary.from_words(
        ["sky", ["sofa", "couch"], "yes", "Bäume: grün"],
        colors=["#102030", None, None, None],
        ids=[7, None, None, None],
        background_threshold=0.375,
        templates=templates,
    )
    write_vocabulary_file(tmp_path / "words.yaml", vocabulary)
    again = Vocabulary.from_file(tmp_path / "words.yaml")
    assert np.array_equal(again.colors, vocabulary.colors)
    for key in ("names", "synonyms", "ids", "background_threshold", "templates"):
        assert getattr(again, key) == getattr(vocabulary, key)


@pytest.mark.parametrize(
    "before, after",
    [
        ("classes: [a] # words\n", "classes: [a] # words\nbackground_threshold: 0.25\n"),
        (
            "# top\nbackground_threshold: .5  # tuned\nclasses: [a]",
            "# top\nbackground_threshold: 0.25  # tuned\nclasses: [a]",
        ),
        ("background_threshold:\nclasses: [a]\n", "background_threshold: 0.25\nclasses: [a]\n"),
    ],
)
def test_a_threshold_is_written_and_the_rest_stays(tmp_path, before, after):
    path = write(tmp_path, before)
    set_background_threshold(path, 0.25)
    assert path.read_text() == after
    assert Vocabulary.from_file(path).background_threshold == 0.25


@pytest.mark.parametrize(
    "text, name, problem",
    [
        ("[a, b]", "words.yaml", "is a mere list, which has no place for a background_threshold"),
        ("a\nb", "words.txt", "a file to be written ends in .yaml or .yml"),
        ('{"background_threshold": 0.5, "classes": ["a"]}', "words.yaml", "into it by hand"),
    ],
)
def test_a_threshold_that_has_no_place(tmp_path, text, name, problem):
    path = write(tmp_path, text, name)
    with pytest.raises(UserError, match=problem):
        set_background_threshold(path, 0.25)
    assert path.read_text() == text
