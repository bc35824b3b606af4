"""All keys of TEST together: a real model, the trainer, test-time augmentation, saved maps."""

import json

import pytest

from san.checkpoint import Checkpointer
from san.engine import Trainer
from san.errors import UserError
from san.evaluation import SemSegOptions, evaluate_saved
from tests.miniatures import write_pascal_context
from tests.training import save_weights, tiny_config

NAME = "pcontext_sem_seg_val"
OPTIONS = [
    *("DATASETS.TEST", f"('{NAME}',)", "INPUT.MIN_SIZE_TEST", 64),
    *("TEST.BOUNDARY_IOU", True, "TEST.ORACLE_VOCABULARY", True),
    *("TEST.SEEN_CLASSES", "coco_stuff", "TEST.SAVE_PREDICTIONS", True),
    *("TEST.AUG.MIN_SIZES", "(64,)", "TEST.AUG.MAX_SIZE", 1333, "TEST.AUG.FLIP", False),
]
ADDED = {
    *("mIoU_ci95_low", "mIoU_ci95_high", "mBoundaryIoU", "mIoU_seen", "mIoU_unseen"),
    *("mIoU_harmonic", "mIoU_oracle", "fwIoU_oracle", "mACC_oracle", "pACC_oracle"),
}


def test_all_options(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "data"))
    write_pascal_context(tmp_path / "data", num_images=2)
    save_weights(tmp_path / "weights.pth")
    cfg = tiny_config(tmp_path / "weights.pth", tmp_path / "out", *OPTIONS)
    model = Trainer.build_model(cfg)
    Checkpointer(model).load(cfg.MODEL.WEIGHTS)
    model.eval()
    metrics = Trainer.test(cfg, model)["sem_seg"]
    results = json.loads((tmp_path / "out/inference/results.json").read_text())[NAME]
    assert results.keys() == {"mIoU", "fwIoU", "mACC", "pACC"} | ADDED
    assert metrics["pACC_oracle"] > metrics["pACC"] and not model.training

    _, again = evaluate_saved(
        tmp_path / "out/inference" / NAME / "predictions",
        options=SemSegOptions.from_config(cfg),
    )
    assert again["sem_seg"] == pytest.approx(metrics, nan_ok=True)
    with_tta = Trainer.test_with_tta(cfg, model)["sem_seg_TTA"]  # of the one plain scale
    assert with_tta == pytest.approx(metrics, nan_ok=True)


def test_impossible_options(tmp_path):
    cfg = tiny_config(tmp_path, tmp_path, "TEST.BOOTSTRAP_REPLICATES", -1)
    with pytest.raises(UserError, match="TEST.BOOTSTRAP_REPLICATES is -1; give 0 for no"):
        SemSegOptions.from_config(cfg)
