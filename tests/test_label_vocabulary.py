"""Vocabulary files in evaluation: their ids are the labels of the data set."""

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from san.checks import check_test_datasets, check_words_fit
from san.config import load_config
from san.data import build_test_loader
from san.engine import Trainer
from san.errors import UserError
from san.evaluation import SemSegEvaluator
from san.image_io import read_image
from san.label_vocabulary import load_label_vocabulary, to_labels
from tests.miniatures import write_voc

NAMES = ["background", "sky", "grass", "cat"]


@pytest.fixture
def own_set(tmp_path):
    """A data set of one image with the labels 0 to 3, the four corners of it -> its name."""
    write_voc(tmp_path, 1)
    image = sorted((tmp_path / "VOC2012/JPEGImages").glob("2007*"))[0]
    height, width = read_image(image).shape[:2]
    labels = np.zeros((height, width), np.uint8)
    labels[: height // 2, : width // 2] = 1
    labels[height // 2 :, : width // 2] = 2
    labels[height // 2 :, width // 2 :] = 3
    path = tmp_path / "labels.png"
    Image.fromarray(labels).save(path)
    DatasetCatalog.register(
        "own_val", lambda: [{"file_name": str(image), "sem_seg_file_name": str(path)}]
    )
    MetadataCatalog.get("own_val").set(stuff_classes=NAMES, ignore_label=255)
    yield "own_val"
    DatasetCatalog.remove("own_val")
    MetadataCatalog.remove("own_val")


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "words.yaml"
        path.write_text(text)
        return str(path)

    return write


FOREGROUND = """
classes: [{name: cat, id: 3}, {name: the sky, id: 1}, {name: grass, synonyms: [lawn], id: 2}]
background_threshold: 0.5
"""


def test_classes_come_in_the_order_of_their_labels(own_set, write):
    vocabulary = load_label_vocabulary(write(FOREGROUND), own_set)
    assert vocabulary.names == ("the sky", "grass", "cat") and vocabulary.ids == (1, 2, 3)
    assert vocabulary.synonyms[1] == ("grass", "lawn")


def test_none_of_these_is_the_label_without_a_class(own_set, write):
    vocabulary = load_label_vocabulary(write(FOREGROUND), own_set)
    positions = np.array([[0, 1], [2, -1]])
    assert to_labels(positions, vocabulary, 4).tolist() == [[1, 2], [3, 0]]
    assert to_labels(positions, vocabulary, 5).tolist() == [[1, 2], [3, -1]]  # 0 or 4: unknown
    assert to_labels(positions, None, 4) is positions


@pytest.mark.parametrize(
    "text, problem",
    [
        ("[sky, grass]", "has 2 classes, but the data set 'own_val' has 4"),
        ("[a, b, c, d, e]", "has 5 classes, but the data set 'own_val' has 4"),
        ("[a, b, c, {name: d, id: 4}]", r"class 'd' has the id 4, but the labels .* are 0 to 3"),
        (FOREGROUND.replace("background_threshold: 0.5", ""), r"label 0 \('background'\) .*has no"),
    ],
)
def test_classes_that_are_not_those_of_the_labels_are_refused(own_set, write, text, problem):
    with pytest.raises(UserError, match=f"vocabulary file .*words.yaml.*{problem}"):
        load_label_vocabulary(write(text), own_set)


@pytest.fixture
def cfg(own_set, write, tmp_path):
    opts = ["DATASETS.TEST", "('own_val',)", "TEST.VOCABULARY", write(FOREGROUND)]
    opts += ["OUTPUT_DIR", str(tmp_path / "output")]
    return load_config("quick/san_tiny.yaml", opts)


def test_evaluation_counts_labels(cfg, own_set):
    (batch,) = build_test_loader(cfg, own_set)
    assert batch[0]["vocabulary"].names == ("the sky", "grass", "cat")
    height, width = batch[0]["height"], batch[0]["width"]
    positions = torch.full((height, width), -1)  # all right, but the lower half is grass
    positions[: height // 2, : width // 2] = 0
    positions[height // 2 :] = 1
    evaluator = SemSegEvaluator(own_set)
    evaluator.process(batch, [{"label_map": positions}])
    result = evaluator.evaluate()["sem_seg"]
    assert result["IoU-background"] == result["IoU-sky"] == 100
    assert 40 < result["IoU-grass"] < 60 and result["IoU-cat"] == 0


def test_evaluation_goes_by_the_words_of_the_file(cfg, own_set):
    torch.manual_seed(0)
    model = Trainer.build_model(cfg).eval()
    seen = []
    classifier = model.text_classifier
    classifier.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    results = Trainer.test(cfg, model)
    assert seen == [(("the sky",), ("grass", "lawn"), ("cat",))]
    assert "IoU-background" in results["sem_seg"]


@pytest.mark.parametrize("key", ["TEST.ORACLE_VOCABULARY", "TEST.AUG.ENABLED"])
def test_what_knows_no_threshold_is_refused(cfg, key):
    check_test_datasets(cfg)
    cfg.merge_from_list([key, True])
    with pytest.raises(UserError, match=f"{key} is True, but it has no background_threshold"):
        check_test_datasets(cfg)


def test_a_bad_file_is_found_before_training(cfg, write):
    cfg.TEST.VOCABULARY = write("[sky]")
    with pytest.raises(UserError, match="has 1 classes, but the data set 'own_val' has 4"):
        check_test_datasets(cfg)
    cfg.MODEL.META_ARCHITECTURE, cfg.DATASETS.TEST = "CLIP", ()
    with pytest.raises(UserError, match="TEST.VOCABULARY is .* but CLIP's own evaluation has none"):
        check_test_datasets(cfg)


def test_a_word_too_long_is_found_before_evaluation(cfg, write):
    words = " ".join(["long"] * 80)
    cfg.TEST.VOCABULARY = write(f"[sky, background, grass, {words}]")
    model = Trainer.build_model(cfg)
    with pytest.raises(UserError, match="'own_val' in DATASETS.TEST: the word 'long.* 80 tokens"):
        check_words_fit(cfg, model)
    with pytest.raises(UserError, match="TEST.PROTOCOL common has .* or leave it out"):
        Trainer.evaluate(cfg)
    cfg.TEST.VOCABULARY = ""
    check_words_fit(cfg, model)
