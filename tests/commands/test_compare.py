"""``san compare`` on the cards of predictions that are known to be wrong here and there."""

import json
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from san.cli import main
from san.evaluation.options import SemSegOptions
from san.evaluation.prediction_files import PredictionWriter
from san.evaluation.saved import evaluate_predictions

NAME = "compare_test_sem_seg"
SIDE, IMAGES = 12, 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with the evaluations "a", "b" and "c" of predictions on 30 images.

    A share of the pixels is wrong, between 0.2 and 0.7 of each image, so that the mIoU is
    uncertain. "b" has one more wrong row in each, "c" one more wrong pixel in all.
    """
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, (IMAGES, SIDE, SIDE))
    shares = rng.uniform(0.2, 0.7, (IMAGES, 1, 1))
    wrong = dict.fromkeys("abc", rng.random(targets.shape) < shares)
    wrong = {name: mask.copy() for name, mask in wrong.items()}
    wrong["b"][:, 0] = True
    wrong["c"][0, 0, np.flatnonzero(~wrong["c"][0, 0])[0]] = True
    register(folder, targets)
    for name, mask in wrong.items():
        save(folder / name, np.where(mask, (targets + 1) % 3, targets))
    yield folder
    DatasetCatalog.remove(NAME)
    MetadataCatalog.remove(NAME)


def register(folder, targets):
    """Write label maps, and register them as NAME."""
    records = []
    for index, target in enumerate(targets):
        path = folder / f"{index}.png"
        Image.fromarray(target.astype(np.uint8)).save(path)
        record = {"file_name": str(folder / f"{index}.jpg"), "sem_seg_file_name": str(path)}
        records.append({**record, "height": SIDE, "width": SIDE})
    DatasetCatalog.register(NAME, lambda: records)
    MetadataCatalog.get(NAME).set(stuff_classes=["x", "y", "z"], ignore_label=255)


def save(folder, predictions, replicates=200):
    """Save predictions, and evaluate them to ``folder``."""
    writer = PredictionWriter(folder / "saved", NAME)
    for record, labels in zip(DatasetCatalog.get(NAME), predictions, strict=True):
        writer.add(record, labels)
    writer.write_index(writer.entries, False)
    options = SemSegOptions(bootstrap_replicates=replicates)
    evaluate_predictions(folder / "saved" / "predictions", folder, options)


def row_of(text, metric):
    """Cells of the row of a metric in a Markdown table."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {NAME} | {metric} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][2:]


def test_a_real_difference(folder, capsys):
    """A row more is 1/12 of the pixels: less than the interval of each card, but in all images."""
    cards = [json.loads((folder / name / "inference" / "card.json").read_text()) for name in "ab"]
    metrics = [card["results"][NAME]["metrics"] for card in cards]
    assert main(["compare", str(folder / "a"), str(folder / "b")]) == 1
    out = capsys.readouterr().out
    a, b, difference, noise, verdict = row_of(out, "mIoU")
    assert [a, b] == [f"{m['mIoU']:.2f}" for m in metrics] and float(difference) < -2
    assert metrics[1]["mIoU"] > metrics[0]["mIoU_ci95_low"]
    assert noise.endswith("(paired)") and verdict == "differs"
    assert row_of(out, "pACC")[3].endswith("(paired)")
    assert "4 of 4 figures differ by more than noise" in out
    assert "Not the same conditions" not in out and "weights sha256: " in out


def test_noise(folder, tmp_path, capsys):
    """One pixel of 4320 is 0.02 points."""
    cards = [str(folder / name / "inference" / "card.json") for name in "ac"]
    assert main(["compare", *cards]) == 0
    out = capsys.readouterr().out
    difference, noise, verdict = row_of(out, "pACC")[2:]
    assert difference == "-0.02" and noise.endswith("to +0.00 (paired)") and verdict == "same"
    assert row_of(out, "mIoU")[-1] == "same"
    assert "0 of 4 figures differ" in out

    card = json.loads(Path(cards[1]).read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "bootstrap": {}}))
    cards[1] = str(tmp_path)
    assert main(["compare", *cards]) == 0
    out = capsys.readouterr().out
    assert row_of(out, "pACC")[2:] == ["-0.02", "-0.12 to +0.08 (tolerance)", "same"]
    assert main(["compare", *cards, "--tolerance", "0.01"]) == 1


def test_files_and_several_cards(folder, tmp_path, capsys):
    cards = [str(folder / name) for name in "acb"]
    files = ["--json", str(tmp_path / "c.json"), "--markdown", str(tmp_path / "c.md")]
    assert main(["compare", *cards, *files]) == 1
    assert (tmp_path / "c.md").read_text() == capsys.readouterr().out
    comparisons = json.loads((tmp_path / "c.json").read_text())["comparisons"]
    assert [(c["a"], c["b"], c["differs"]) for c in comparisons] == [
        (cards[0], cards[1], False),
        (cards[0], cards[2], True),
    ]
    assert comparisons[1]["rows"][0]["metric"] == "mIoU"
    assert comparisons[1]["rows"][0]["noise"] == "paired"


def test_warnings_are_shown(folder, tmp_path, capsys):
    card = json.loads((folder / "a" / "inference" / "card.json").read_text())
    card["results"][NAME]["vocabulary"]["sha256"] = "0" * 64
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert main(["compare", str(folder / "a"), str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"Not the same conditions:\n\n- {NAME}: vocabulary classes 3, sha256 " in out


def test_mistakes(folder, tmp_path, capsys):
    a = str(folder / "a")
    results = str(folder / "a" / "inference" / "results.json")
    for arguments, message in (
        ([a], "one card alone cannot be compared: name two, or more"),
        ([a, str(tmp_path)], f"no card at {tmp_path}"),
        ([a, results], "results.json is not the card of an evaluation"),
    ):
        assert main(["compare", *arguments]) == 2
        assert message in capsys.readouterr().err
