import math

import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.modeling import build_model

from san.config import load_config
from san.engine import Trainer
from san.errors import UserError
from san.evaluation.card import (
    FORMAT,
    Evaluated,
    describe_config,
    describe_weights,
    read_card,
    write_card,
)
from san.files import file_sha256
from san.provenance import value_sha256
from tests.miniatures import write_voc
from tests.training import CONFIG, save_weights, tiny_config

VOC = "voc_sem_seg_val"
NO_WEIGHTS = {"source": "nothing", "file_sha256": None, "sha256": None}
KEYS = [
    *("format", "results", "model", "weights", "config", "code", "versions", "machine", "cost"),
    *("command", "created", "bootstrap"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "filled.pth"
    save_weights(path)
    return path


@pytest.fixture
def data(tmp_path, monkeypatch):
    write_voc(tmp_path / "data", num_images=2)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "data"))


def test_card_of_an_evaluation(data, weights, tmp_path):
    cfg = tiny_config(weights, tmp_path / "out", "DATASETS.TEST", (VOC,), "MODEL.DEVICE", "cpu")
    cfg.TEST.BOOTSTRAP_REPLICATES = 20
    Trainer.evaluate(cfg)
    card = read_card(tmp_path / "out")
    assert list(card) == KEYS and card["model"] == "SAN"
    assert card["weights"]["source"] == str(weights)
    assert card["weights"]["file_sha256"] == file_sha256(weights)
    result = card["results"][VOC]
    assert result["kind"] == "sem_seg" and result["images"] == 2
    assert result["seconds"] == pytest.approx(2 * result["seconds_per_image"])
    assert 0 < result["seconds"] <= card["cost"]["seconds"]
    assert result["vocabulary"]["classes"] == 20 and result["protocol"] is None
    assert card["cost"]["peak_memory_mb"]["cpu"] > 100
    assert card["machine"]["processes"] == 1
    assert len(card["bootstrap"][VOC]["mIoU"]) == 20
    text = (tmp_path / "out" / "inference" / "card.md").read_text()
    assert f"| {VOC} | {result['metrics']['mIoU']:.2f} |" in text
    assert card["weights"]["sha256"] in text and card["versions"]["torch"] in text


def test_augmented_evaluation_has_a_card_of_its_own(data, weights, tmp_path):
    opts = ["DATASETS.TEST", (VOC,), "MODEL.DEVICE", "cpu", "TEST.AUG.ENABLED", True]
    cfg = tiny_config(weights, tmp_path / "out", *opts, "TEST.AUG.MIN_SIZES", (64,))
    Trainer.evaluate(cfg)
    plain, augmented = (read_card(tmp_path / "out" / f"inference{end}") for end in ("", "_TTA"))
    assert plain["weights"] == augmented["weights"] and plain["config"] == augmented["config"]


def test_card_of_a_training(data, weights, tmp_path):
    opts = ["DATASETS.TEST", (VOC,), "DATASETS.TRAIN", (VOC,), "SOLVER.MAX_ITER", 1]
    cfg = tiny_config(weights, tmp_path / "out", *opts, "MODEL.SAN.NUM_CLASSES", 20)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()
    trained = read_card(tmp_path / "out")
    assert trained["weights"]["source"] == "training, 1 iterations"
    assert trained["weights"]["file_sha256"] is None
    cfg.MODEL.WEIGHTS, cfg.OUTPUT_DIR = str(tmp_path / "out" / "model_final.pth"), str(tmp_path)
    Trainer.evaluate(cfg)
    evaluated = read_card(tmp_path / "inference")
    assert evaluated["weights"]["sha256"] == trained["weights"]["sha256"]
    assert evaluated["config"] == trained["config"]


def build_tiny(*opts):
    return build_model(load_config(CONFIG, ["MODEL.DEVICE", "cpu", *opts]))


def test_digest_of_the_tensors_is_the_same_in_every_file(tmp_path):
    model = build_tiny()
    digest = describe_weights(model, "")
    assert digest == {"source": "", "file_sha256": None, "sha256": digest["sha256"]}
    torch.save({"model": model.state_dict()}, tmp_path / "a.pth")
    in_file = describe_weights(model, str(tmp_path / "a.pth"))
    assert in_file["file_sha256"] == file_sha256(tmp_path / "a.pth")
    assert in_file["sha256"] == digest["sha256"] != describe_weights(build_tiny(), "")["sha256"]


def test_config_without_what_decides_no_figure():
    config = describe_config(load_config(CONFIG))
    assert config["values"]["MODEL.META_ARCHITECTURE"] == "SAN"
    assert config["sha256"] == value_sha256(config["values"])
    elsewhere = ["OUTPUT_DIR", "x", "MODEL.WEIGHTS", "a.pth", "DATALOADER.NUM_WORKERS", "7"]
    assert describe_config(load_config(CONFIG, elsewhere)) == config
    assert describe_config(load_config(CONFIG, ["INPUT.MIN_SIZE_TEST", "65"])) != config


def write(folder, metrics, name="card_test_set", kind="sem_seg"):
    """The card of a fabricated evaluation without a model."""
    item = Evaluated(name, kind, metrics, 4, 2.0, folder)
    write_card(folder, [item], {"cpu": None, "gpu": None}, NO_WEIGHTS)
    return read_card(folder)


def test_not_a_number_is_null(tmp_path):
    card = write(tmp_path, {"mIoU": 1.0, "mIoU_seen": math.nan, "IoU-cat": 1.0})
    assert card["results"]["card_test_set"]["metrics"] == {"mIoU": 1.0, "mIoU_seen": None}
    assert "NaN" not in (tmp_path / "card.json").read_text()
    table = (tmp_path / "card.md").read_text()
    assert "| card_test_set | 1.00 | - |" in table and "peak memory: unknown" in table


def test_cards_of_clip(tmp_path):
    card = write(tmp_path, {"image_to_text_R@1": 5.0}, kind="retrieval")
    assert card["results"]["card_test_set"]["vocabulary"] is None
    assert "| card_test_set | 5.00 |" in (tmp_path / "card.md").read_text()


def test_no_card(tmp_path):
    with pytest.raises(UserError, match=r"no card at .*card.json or .*inference.card.json: `san"):
        read_card(tmp_path)
    with pytest.raises(UserError, match="no card at .*none.json: "):
        read_card(tmp_path / "none.json")


@pytest.mark.parametrize("text, message", [
    ("{", "a.json cannot be read as JSON"),
    ("[1]", "a.json is not the card of an evaluation"),
    ('{"format": "san evaluation card 0"}', f"'{FORMAT}' is missing in it.*card.json of OUT"),
])  # fmt: skip
def test_broken_card(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_card(tmp_path / "a.json")


def describe(weights, folder, *opts):
    """The entry of VOC in the card of a model, which is not run."""
    cfg = tiny_config(weights, folder, *opts, "MODEL.DEVICE", "cpu")
    item = Evaluated(VOC, "sem_seg", {"mIoU": 1.0}, 4, 2.0, folder)
    write_card(folder, [item], {"cpu": 1.0, "gpu": None}, NO_WEIGHTS, cfg)
    return read_card(folder)["results"][VOC]


def test_protocol_and_words_have_digests_of_their_own(tmp_path, weights):
    for name, size in (("a", 64), ("b", 65), ("c", 64)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{VOC}.yaml").write_text(f"min_size: {size}\nmax_size: 128\n")
    results = [describe(weights, tmp_path, "TEST.PROTOCOL", tmp_path / name) for name in "abc"]
    digests = [result["protocol"]["sha256"] for result in results]
    assert digests[0] == digests[2] != digests[1]
    words = results[0]["vocabulary"]
    assert words == results[1]["vocabulary"] == describe(weights, tmp_path)["vocabulary"]
    names = [name.strip() for name in MetadataCatalog.get(VOC).stuff_classes]
    (tmp_path / "words.txt").write_text("\n".join([*names[:-1], "telly"]))
    renamed = describe(weights, tmp_path, "TEST.VOCABULARY", tmp_path / "words.txt")["vocabulary"]
    assert renamed["classes"] == 20 and renamed["sha256"] != words["sha256"]
