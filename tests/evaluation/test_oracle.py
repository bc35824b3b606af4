"""The oracle vocabulary: what the model is asked, and how its answer is mapped back."""

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from PIL import Image
from torch import nn

from san.evaluation import OracleVocabulary, SemSegEvaluator, SemSegOptions
from san.evaluation.oracle import full_vocabulary, oracle_classes
from san.modeling.meta_arch.open_vocab import OpenVocabSegmentor
from san.modeling.text.vocabulary import Vocabulary
from tests.tiny import build_segmenter

CLASSES = ["tree", "a road", "sky", "cat", "dog"]


class Stripes(nn.Module):
    """Labels each column with the next class of the vocabulary, the last one with none."""

    def __init__(self, output="label_map"):
        super().__init__()
        self.output = output
        self.vocabularies = []

    def forward(self, batched_inputs):
        return [self._one(record) for record in batched_inputs]

    def _one(self, record):
        words = OpenVocabSegmentor.vocabulary_of(record)
        self.vocabularies.append(words)
        labels = torch.arange(record["width"]).expand(record["height"], -1) % len(words)
        if self.output == "sem_seg":
            return {"sem_seg": nn.functional.one_hot(labels, len(words)).permute(2, 0, 1).float()}
        labels = labels.clone()
        labels[:, -1] = -1
        return {"label_map": labels.int()}


@pytest.fixture
def dataset():
    """Register CLASSES -> name; unregister."""
    MetadataCatalog.get("oracle_test").set(stuff_classes=CLASSES, ignore_label=255)
    yield "oracle_test"
    MetadataCatalog.remove("oracle_test")


def make_record(folder, name, labels):
    Image.fromarray(np.asarray(labels, np.uint8)).save(folder / "labels.png")
    height, width = np.shape(labels)
    return {
        "file_name": "a.jpg",
        "sem_seg_file_name": str(folder / "labels.png"),
        "meta": {"dataset_name": name},
        "height": height,
        "width": width,
    }


@pytest.mark.parametrize("output, last", [("label_map", -1), ("sem_seg", 1)])
def test_words_in_the_image_and_labels_of_the_data_set(tmp_path, dataset, output, last):
    record = make_record(tmp_path, dataset, [[1, 3, 255, 3, 1], [1, 1, 1, 1, 1]])
    model = Stripes(output)
    (result,) = OracleVocabulary(model)([record])
    assert model.vocabularies[0] == tuple((name,) for name in CLASSES)
    assert model.vocabularies[1] == (("a road",), ("cat",))
    assert result["oracle_label_map"].tolist() == [[1, 3, 1, 3, last]] * 2
    assert result["oracle_label_map"].dtype == torch.int32
    assert torch.equal(result[output], Stripes(output)([record])[0][output])


def test_synonyms_ids_and_prompts_of_a_vocabulary_stay(tmp_path, dataset):
    """Label 1 has no class: it is the rest."""
    record = make_record(tmp_path, dataset, [[4, 2, 1, 0]])
    words = ["dog|hound", "oak|tree", "sky", "cat"]
    vocabulary = Vocabulary.from_words(words, ids=[4, 0, 2, 3], templates=["a {}."])
    model = Stripes()
    (result,) = OracleVocabulary(model)([{**record, "vocabulary": vocabulary}])
    assert model.vocabularies[1] == (("dog", "hound"), ("oak", "tree"), ("sky",))
    assert result["oracle_label_map"].tolist() == [[4, 0, 2, 1]]
    full, rest = full_vocabulary({**record, "vocabulary": vocabulary})
    assert full.select([0]).templates == ("a {}.",) and rest == 1


def test_image_without_a_labeled_pixel(tmp_path, dataset):
    model = Stripes()
    record = make_record(tmp_path, dataset, [[255, 255]])
    (result,) = OracleVocabulary(model)([record])
    assert result["oracle_label_map"].tolist() == [[-1, -1]] and len(model.vocabularies) == 1


def test_background_always_stays(tmp_path, dataset):
    record = make_record(tmp_path, dataset, [[2, 255]])
    assert oracle_classes(record).tolist() == [2]
    threshold = type("Threshold", (), {"score_threshold": 0.1, "area_threshold": 0.0})
    assert oracle_classes({**record, "protocol": threshold}).tolist() == [0, 2]
    MetadataCatalog.remove(dataset)
    MetadataCatalog.get(dataset).set(stuff_classes=["background", *CLASSES[1:]], ignore_label=255)
    assert oracle_classes(record).tolist() == [0, 2]


def test_evaluator_reports_both_vocabularies(tmp_path, dataset):
    labels = [[1, 3, 1, 3, 3], [1, 3, 1, 3, 3]]
    record = make_record(tmp_path, dataset, labels)
    evaluator = SemSegEvaluator(dataset, tmp_path, SemSegOptions(oracle_vocabulary=True))
    evaluator.process([record], OracleVocabulary(Stripes())([record]))
    metrics = evaluator.evaluate()["sem_seg"]
    # full: 0 1 2 3 none; oracle: 1 3 1 3 none
    assert metrics["mIoU"] == pytest.approx((0 / 3 + 1 / 3) / 2 * 100)
    assert metrics["mIoU_oracle"] == pytest.approx((1 + 2 / 3) / 2 * 100)
    assert metrics["pACC_oracle"] == pytest.approx(80)
    header = (tmp_path / "sem_seg_evaluation.md").read_text().splitlines()[0]
    assert "| mIoU_oracle | fwIoU_oracle | mACC_oracle | pACC_oracle |" in header


def test_model_of_words(tmp_path, dataset):
    """A real model: with all words in the image both vocabularies give one label map."""
    model = build_segmenter().model
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(48 * 64) % len(CLASSES)).reshape(48, 64)
    record = make_record(tmp_path, dataset, labels)
    record["image"] = torch.from_numpy(rng.integers(0, 256, (3, 48, 64), dtype=np.uint8))
    record["output"] = "label_map"
    wrapper = OracleVocabulary(model)
    (result,) = wrapper([record])
    assert torch.equal(result["oracle_label_map"], result["label_map"])
    labels[labels == labels.max()] = 0
    result = wrapper([make_record(tmp_path, dataset, labels) | {**record}])[0]["oracle_label_map"]
    assert result.max() < len(CLASSES) - 1
    assert not wrapper.training and not model.training
