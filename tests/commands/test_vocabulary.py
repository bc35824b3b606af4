"""``san vocabulary`` from the command line to its exit status."""

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from san.cli import main
from san.modeling.text.vocabulary import Vocabulary
from tests.tiny import CONFIG, SMALL, build_segmenter, save_weights


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Options of a model with weights from a file."""
    path = save_weights(build_segmenter(), tmp_path_factory.mktemp("weights"))
    return ["--weights", str(path), "--config-file", CONFIG, "--device", "cpu"]


def lint(path, *options):
    return main(["vocabulary", "lint", str(path), *options])


def test_lint_prints_every_finding(tmp_path, model, capsys):
    path = tmp_path / "words.txt"
    path.write_text("sofa|couch\ncouch\nroad, route\ncat\nCat\n" + "long " * 80)
    assert lint(path, *model, "--similarity", "1") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["hidden", "duplicate", "long", "long"]
    assert "80 tokens; the text tower has room for" in lines[3]
    assert lines[-1] == f"{path}: 6 classes, 7 words, {len(lines) - 1} findings"


def test_lint_finds_words_that_say_the_same_to_the_model(tmp_path, model, capsys):
    path = tmp_path / "words.yaml"
    path.write_text("classes: [cat, dog, grass, sky]\ntemplates: ['{}']")
    assert lint(path, *model, "--similarity", "-1") == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and all(line.startswith("similar") for line in lines[:-1])
    cosines = [float(line.split()[1]) for line in lines[:-1]]
    assert cosines == sorted(cosines, reverse=True) and cosines[0] < 0.9999
    assert lint(path, *model, "--similarity", "0.9999") == 0
    assert capsys.readouterr().out == f"{path}: 4 classes, 4 words, 0 findings\n"


def test_lint_shows_but_the_most_similar_of_many(tmp_path, model, capsys):
    path = tmp_path / "words.txt"
    path.write_text("\n".join(f"thing{i}" for i in range(10)))
    assert lint(path, *model, "--similarity", "-1") == 1
    out = capsys.readouterr().out
    assert out.count("similar  ") == 20 and "... and 25 pairs more of similar words" in out


def test_lint_of_untrained_weights_compares_nothing(tmp_path, capsys):
    path = tmp_path / "words.txt"
    path.write_text("cat\ndog")
    assert lint(path, "--config-file", CONFIG, "--device", "cpu", "--similarity", "-1") == 0
    assert capsys.readouterr().out.startswith("NOTE: the weights are UNTRAINED")


@pytest.mark.parametrize(
    "text, options, problem",
    [
        (None, [], "cannot be read"),
        ("", [], "the vocabulary is empty"),
        ("cat", ["--similarity", "2"], "--similarity is 2.0: give a cosine"),
    ],
)
def test_lint_of_what_cannot_be_read(tmp_path, capsys, text, options, problem):
    path = tmp_path / "words.txt"
    if text is not None:
        path.write_text(text)
    assert lint(path, *options) == 2
    assert problem in capsys.readouterr().err


@pytest.fixture
def own_set(tmp_path):
    """A data set of two noisy images with the labels background, sky, cat -> its name."""
    records = []
    for i in range(2):
        rng = np.random.default_rng(i)
        labels = rng.choice([0, 1, 2], (6, 8)).repeat(8, 0).repeat(8, 1)
        paths = [str(tmp_path / f"{i}.{kind}.png") for kind in ("image", "labels")]
        for path, array in zip(paths, (rng.integers(0, 256, (48, 64, 3)), labels), strict=True):
            Image.fromarray(array.astype(np.uint8)).save(path)
        records.append({"file_name": paths[0], "sem_seg_file_name": paths[1]})
    DatasetCatalog.register("own_val", lambda: records)
    names = ["background", "sky", "cat"]
    MetadataCatalog.get("own_val").set(stuff_classes=names, ignore_label=255)
    yield "own_val"
    DatasetCatalog.remove("own_val")
    MetadataCatalog.remove("own_val")


def tune(model, *options):
    return main(["vocabulary", "tune", *options, *model, "--opts", *SMALL])


def test_tune_prints_a_table_and_writes_the_best(tmp_path, model, own_set, capsys):
    path = tmp_path / "words.yaml"
    assert tune(model, "--datasets", own_set, "--write", str(path)) == 0
    out = capsys.readouterr().out
    best = out.split("best: background_threshold ")[1].split(",")[0]
    assert f"| {float(best):.3f} (best) | " in out and "| none | " in out
    assert out.count("\n| 0.") >= 20 and f"written to {path}" in out
    written = Vocabulary.from_file(path)
    assert written.names == ("sky", "cat") and written.ids == (1, 2)
    assert written.background_threshold == float(best)
    path.write_text("# my words\nclasses: [{name: blue sky, id: 1}, {name: cat, id: 2}]\n")
    assert tune(model, "--datasets", own_set, "--vocabulary", str(path), "--write", str(path)) == 0
    assert path.read_text().startswith("# my words\nclasses: [{name: blue sky, id: 1}, ")
    assert 0 < Vocabulary.from_file(path).background_threshold <= 1


def test_tune_on_several_data_sets(model, own_set, capsys):
    assert tune(model, "--datasets", own_set, own_set) == 0
    header, _, row = capsys.readouterr().out.splitlines()[:3]
    assert header == "| threshold | own_val mIoU | own_val mIoU | mean |"
    assert len(set(row.split("|")[2:5])) == 1


@pytest.mark.parametrize(
    "options, problem",
    [
        (["--datasets", "none_val"], "no data set 'none_val' is registered"),
        (["--datasets", "a", "b", "--vocabulary", "f"], "--vocabulary has the labels of one"),
        (["--datasets", "a", "b", "--write", "f.yaml"], "cannot be made of the classes of several"),
    ],
)
def test_tune_of_what_does_not_go(model, capsys, options, problem):
    assert tune(model, *options) == 2
    assert problem in capsys.readouterr().err


def test_tune_needs_a_segmentor(own_set, capsys):
    config = ["--config-file", "clip_tiny_shapescenes.yaml", "--device", "cpu"]
    assert main(["vocabulary", "tune", "--datasets", own_set, *config]) == 2
    assert "is the config of no segmentor" in capsys.readouterr().err
