"""Truth beside the images: `san segment --truth`, and what it is made of."""

import json

import numpy as np
import pytest
from PIL import Image

from san.cli import main
from san.errors import UserError
from san.modeling.text.vocabulary import Vocabulary
from san.truth import Truth, describe_metrics
from san.visualize import draw_comparison
from tests.tiny import CONFIG, SMALL, build_segmenter, save_weights

NAMES = ["sky", "sea", "sand"]


@pytest.fixture
def vocabulary():
    return Vocabulary.from_words(NAMES, ids=[7, 300, 2])


def write(path, labels, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(labels, dtype)).save(path)


def test_ids_become_positions_and_the_rest_is_unlabeled(tmp_path, vocabulary):
    write(tmp_path / "sub" / "a.png", [[7, 300], [2, 255]], np.uint16)
    labels = Truth(tmp_path, vocabulary).read("sub/a", (2, 2))
    np.testing.assert_array_equal(labels, [[0, 1], [2, -1]])


def test_metrics_count_what_is_labeled(tmp_path, vocabulary):
    truth = Truth(tmp_path, vocabulary)
    true = np.array([[0, 0, 1, 1, -1]])
    predicted = np.array([[0, 1, 1, -1, 2]])
    metrics = describe_metrics(truth.count(predicted, true), NAMES)
    # sky: 1 of 2, union 2; sea: 1 right, union 1 + 1 + 1
    assert metrics == {"mIoU": 41.67, "pACC": 50.0, "IoU": {"sky": 50.0, "sea": 33.33}}
    nothing = describe_metrics(truth.count(predicted, true * 0 - 1), NAMES)
    assert nothing == {"mIoU": None, "pACC": None, "IoU": {}}


def test_errors_name_the_file_and_the_fix(tmp_path, vocabulary):
    with pytest.raises(UserError, match=r"--truth .*none is no folder: give the folder"):
        Truth(tmp_path / "none", vocabulary)
    with pytest.raises(UserError, match="'sea' of the vocabulary has the id 70000.*use 0 to 65535"):
        Truth(tmp_path, Vocabulary.from_words(NAMES, ids=[1, 70000, 2]))
    truth = Truth(tmp_path, vocabulary)
    with pytest.raises(UserError, match=r"a\.png: cannot read this label map"):
        truth.read("a", (2, 2))
    write(tmp_path / "a.png", [[7, 2]])
    with pytest.raises(UserError, match=r"a\.png has 1 x 2 pixels, but its image 2 x 2"):
        truth.read("a", (2, 2))


def test_a_comparison_has_three_panels_of_the_image():
    image = np.full((60, 80, 3), 255, np.uint8)
    labels = np.zeros((60, 80), np.int32)
    colors = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)
    picture = np.asarray(draw_comparison(image, labels, labels + 1, ["a", "b"], colors))
    assert picture.shape[1] == 3 * 640 + 2 * 8
    row = picture[80].astype(int)  # near the upper border, clear of names
    np.testing.assert_array_equal(row[320], [255, 255, 255])
    assert row[100 + 648, 0] - row[100 + 648, 2] > 100  # red: the truth
    assert row[100 + 2 * 648, 2] - row[100 + 2 * 648, 0] > 100  # blue: the prediction


def test_the_command_compares_and_reports_an_image_without_truth(tmp_path, capsys):
    segmenter = build_segmenter()
    weights = save_weights(segmenter, tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        write(tmp_path / "images" / f"{name}.png", rng.integers(0, 255, (48, 64, 3)))
    truths = {}
    for name in ("a", "b"):
        labels = segmenter(tmp_path / "images" / f"{name}.png", NAMES).label_map.copy()
        labels[:, :8] = (labels[:, :8] + 1) % 3  # an eighth is wrong
        labels[:8] = 255
        truths[name] = labels
        write(tmp_path / "truth" / f"{name}.png", labels)
    status = main(
        [
            *("segment", "--input", str(tmp_path / "images"), "--truth", str(tmp_path / "truth")),
            *("--vocabulary", *NAMES, "--output", str(tmp_path / "out"), "--device", "cpu"),
            *("--weights", str(weights), "--config-file", CONFIG, "--opts", *SMALL),
        ]
    )
    printed = capsys.readouterr()
    assert status == 1  # c has no truth
    assert "c.png: cannot read this label map" in printed.err
    results = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [image["metrics"]["pACC"] for image in results["images"]] == [87.5, 87.5]
    assert results["metrics"]["pACC"] == 87.5
    assert f"mIoU {results['metrics']['mIoU']} over the" in printed.out
    for image in results["images"]:
        with Image.open(tmp_path / "out" / image["comparison"]) as picture:
            assert picture.width == 3 * 640 + 2 * 8
