"""``san evaluate`` on miniatures: as train_net.py, checked against expected figures."""

import argparse
import json
import re

import numpy as np
import pytest
from PIL import Image

import train_net
from san.cli import main
from san.commands.evaluate import add_arguments, build_config, split_options
from san.errors import UserError
from san.evaluation.expected import FORMAT, find_expected, read_expected
from san.weights import MODELS
from tests.miniatures import write_pascal_context, write_voc
from tests.training import CONFIG, save_weights

VOC, CONTEXT = "voc_sem_seg_val", "pcontext_sem_seg_val"
GELU = ("MODEL.SAN.CLIP_ACTIVATION", "quick_gelu")
PASSING = ("seconds", "seconds_per_image", "cost", "command", "created")  # differ in every run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with data/ and filled.pth; in data/VOC2012 are the classes that the model sees."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_voc(folder / "data")
    write_pascal_context(folder / "data", num_images=2)
    for path in (folder / "data" / "VOC2012" / "annotations_detectron2" / "val").glob("*.png"):
        labels = np.asarray(Image.open(path))
        for old, new in ((0, 3), (6, 12), (11, 15)):
            labels = np.where(labels == old, np.uint8(new), labels)
        Image.fromarray(labels).save(path)
    save_weights(folder / "filled.pth")
    return folder


@pytest.fixture(autouse=True)
def _datasets(monkeypatch, folder):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(folder / "data"))


@pytest.fixture
def evaluate(folder, tmp_path):
    """Function: options of the command, name of the output folder -> exit status, card or None."""

    def evaluate(*options, output="out"):
        argv = ["evaluate", "--weights", str(folder / "filled.pth"), "--config-file", CONFIG]
        argv += ["--output", str(tmp_path / output), *map(str, options), "MODEL.DEVICE", "cpu"]
        status = main([*argv, *GELU])
        path = tmp_path / output / "inference" / "card.json"
        return status, json.loads(path.read_text()) if path.is_file() else None

    return evaluate


def lasting(card):
    """What two cards of the same evaluation share."""
    if isinstance(card, dict):
        return {key: lasting(value) for key, value in card.items() if key not in PASSING}
    return card


def test_equals_train_net(evaluate, folder, tmp_path):
    status, card = evaluate("--datasets", VOC, CONTEXT)
    assert status == 0 and list(card["results"]) == [VOC, CONTEXT]
    arguments = [
        "--config-file",
        CONFIG,
        "--eval-only",
        "MODEL.WEIGHTS",
        str(folder / "filled.pth"),
    ]
    arguments += ["OUTPUT_DIR", str(tmp_path / "train_net"), *GELU, "MODEL.DEVICE", "cpu"]
    assert train_net.main([*arguments, "DATASETS.TEST", f"('{VOC}', '{CONTEXT}')"]) == 0
    inference = tmp_path / "train_net" / "inference"
    results = (inference / "results.json").read_text()
    assert results == (tmp_path / "out" / "inference" / "results.json").read_text()
    theirs = json.loads((inference / "card.json").read_text())
    assert json.dumps(lasting(theirs)) == json.dumps(lasting(card))  # the order of keys, too
    assert {name: r["metrics"] for name, r in card["results"].items()} == json.loads(results)
    assert 0 < card["results"][VOC]["metrics"]["mIoU"] < 100


def test_two_processes_give_the_figures_of_one(evaluate):
    one = evaluate("--datasets", VOC)[1]
    status, two = evaluate("--datasets", VOC, "--num-gpus", 2, output="two")
    assert status == 0 and two["machine"]["processes"] == 2
    assert lasting(two["results"]) == lasting(one["results"])
    assert two["results"][VOC]["images"] == 3 and two["weights"] == one["weights"]


def test_protocol(evaluate):
    card = evaluate("--datasets", VOC, "--protocol", "sclip")[1]
    assert card["config"]["values"]["TEST.PROTOCOL"] == "sclip"
    result = card["results"][VOC]
    assert result["protocol"]["name"] == "sclip" and result["vocabulary"]["classes"] == 20
    plain = evaluate("--datasets", VOC, output="plain")[1]["results"][VOC]
    assert plain["protocol"] is None
    assert plain["vocabulary"]["sha256"] != result["vocabulary"]["sha256"]  # other names


def test_terminal_has_progress_and_results_and_the_log_has_all(evaluate, tmp_path, capsys):
    evaluate("--datasets", VOC)
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 20 and "full config" not in out
    assert f"Evaluating on {VOC}" in out and "Start inference on 3 batches" in out
    assert f"| {VOC} | " in out and "MODEL.DEVICE" not in out
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "Running with full config" in log and f"| {VOC} | " in log


def test_verify(evaluate, tmp_path, capsys):
    path = tmp_path / "expected.json"
    assert evaluate("--datasets", VOC, CONTEXT, "--write-expected", path)[0] == 0
    expected = json.loads(path.read_text())
    assert list(expected["results"]) == [VOC, CONTEXT] and expected["weights"].endswith(".pth")
    capsys.readouterr()
    assert evaluate("--datasets", VOC, "--expected", path)[0] == 0
    out = capsys.readouterr().out
    assert f"ok  {VOC} mIoU " in out and CONTEXT not in out.split("ok ", 1)[1]
    assert "note" not in out

    value = expected["results"][VOC]["metrics"]["mIoU"]
    expected["results"][VOC]["metrics"]["mIoU"] = value + 0.11
    expected["results"][VOC]["images"] = 1449
    expected["file_sha256"] = "0" * 64
    path.write_text(json.dumps(expected))
    assert evaluate("--datasets", VOC, "--verify", "--expected", path)[0] == 1
    out = capsys.readouterr().out
    assert f"off {VOC} mIoU {value:.2f}, expected {value + 0.11:.2f} within 0.1" in out
    assert f"note: {VOC}: 3 images, but the figures are of 1449" in out
    assert f"(SHA-256 {'0' * 64}), but" in out


def test_published_weights_by_name():
    args = parsed("--weights", "san_vit_b_16", "--datasets", VOC, "OUTPUT_DIR", "x", "SEED", "1")
    cfg = build_config(args)
    assert args.config_file.endswith("configs/san_clip_vit_res4_coco.yaml")
    assert cfg.MODEL.WEIGHTS == "san://san_vit_b_16" and cfg.DATASETS.TEST == (VOC,)
    assert (cfg.OUTPUT_DIR, cfg.SEED) == ("x", 1)
    cfg = build_config(parsed("--weights", "san://san_vit_large_14", "--protocol", "san"))
    assert cfg.MODEL.SAN.CLIP_MODEL_NAME.startswith("ViT-L") and cfg.TEST.PROTOCOL == "san"
    assert len(cfg.DATASETS.TEST) == 6


def parsed(*argv):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(argv)


def test_data_sets_end_where_options_begin():
    opts = ["MODEL.DEVICE", "cpu"]
    assert split_options(["a", "my/b.yaml", *opts], []) == (["a", "my/b.yaml"], opts)
    assert split_options(["a"], opts) == (["a"], opts)
    assert split_options(["a", "SEED", "1"], []) == (["a"], ["SEED", "1"])
    with pytest.raises(UserError, match="--verify stands behind MODEL.DEVICE: KEY VALUE pairs"):
        split_options([], [*opts, "--verify"])


@pytest.mark.parametrize("name, published", [
    ("san_vit_b_16", [41.93, 93.95, 54.07, 27.56, 16.71, 10.21]),
    ("san_vit_large_14", [45.57, 95.18, 57.53, 31.93, 20.83, 12.96]),
])  # fmt: skip
def test_figures_of_the_published_weights(name, published):
    expected = read_expected(find_expected(f"san://{name}"))
    figures = [result["metrics"]["mIoU"] for result in expected["results"].values()]
    assert figures == pytest.approx(published, abs=0.0051)
    assert expected["file_sha256"] == MODELS[name].sha256
    assert tuple(expected["results"]) == tuple(
        build_config(parsed("--weights", name)).DATASETS.TEST
    )


@pytest.mark.parametrize("options, message", [
    ([], "give --weights NAME, one of san_tiny, .*, or --config-file"),
    (["--weights", "no_such"], "--weights no_such is none of the published models.*--config-file"),
    (["--weights", "san_vit_b_16", "--datasets", "vocc_sem_seg_val"],
     "no data set 'vocc_sem_seg_val' is registered; did you mean 'voc_sem_seg_val'"),
    (["--weights", "san_vit_b_16", "--datasets", VOC, "--protocol", "nobody"],
     "TEST.PROTOCOL is 'nobody'; there are"),
    (["--config-file", CONFIG, "--weights", "a.pth", "--verify"],
     "no expected figures of 'a.pth', only of san_vit_b_16, .*--write-expected"),
    (["--config-file", CONFIG, "--expected", "none.json"], "no expected figures of 'none.json'"),
    (["--config-file", CONFIG, "--expected", CONFIG], "no expected figures of 'configs/quick"),
    (["--config-file", CONFIG, "DATASETS.TEST", "()"],
     "names no DATASETS.TEST: give --datasets"),
])  # fmt: skip
def test_mistakes(options, message, tmp_path, capsys):
    output = [] if "DATASETS.TEST" in options else ["OUTPUT_DIR", str(tmp_path / "out")]
    assert main(["evaluate", *options, *output]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"error: .*{message}", line)


def test_other_files_are_no_expected_figures(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[]")
    with pytest.raises(UserError, match="a.json is not a file of expected figures .*--write-exp"):
        read_expected(path)
    path.write_text(json.dumps({"format": FORMAT, "weights": "a", "results": {}}))
    with pytest.raises(UserError, match="a.json: file_sha256, origin, tolerance is missing"):
        read_expected(path)
    path.write_text("{")
    with pytest.raises(UserError, match=r"expected figures .*a.json cannot be read: "):
        read_expected(path)


def test_nothing_is_expected_of_the_data_set(evaluate, tmp_path, capsys):
    path = tmp_path / "expected.json"
    evaluate("--datasets", VOC, "--write-expected", path)
    assert evaluate("--datasets", CONTEXT, "--expected", path)[0] == 2
    assert f"no figures are expected for {CONTEXT}, only for {VOC}" in capsys.readouterr().err


def test_saved_predictions(evaluate, tmp_path, capsys):
    _, card = evaluate("--datasets", VOC, CONTEXT, "TEST.SAVE_PREDICTIONS", "True")
    command = ["evaluate", "--predictions", str(tmp_path / "out"), "--output"]
    assert main([*command, str(tmp_path / "again")]) == 0
    again = json.loads((tmp_path / "again" / "inference" / "card.json").read_text())
    assert {name: r["metrics"] for name, r in again["results"].items()} == {
        name: card["results"][name]["metrics"] for name in (CONTEXT, VOC)
    }
    assert again["bootstrap"] == card["bootstrap"] and again["model"] is again["config"] is None
    words = [c["results"][VOC]["vocabulary"] for c in (card, again)]
    assert words[0] == words[1] and again["results"][VOC]["images"] == 3
    assert main(["compare", str(tmp_path / "out"), str(tmp_path / "again")]) == 0
    one = str(tmp_path / "out" / "inference" / VOC / "predictions")
    assert main(["evaluate", "--predictions", one, "--output", str(tmp_path / "one")]) == 0
    assert f"| {VOC} | {card['results'][VOC]['metrics']['mIoU']:.2f} |" in (
        (tmp_path / "one" / "inference" / "results.md").read_text()
    )
    capsys.readouterr()
    assert main([*command, str(tmp_path / "out")]) == 2
    assert "has the results of the evaluation that saved" in capsys.readouterr().err


@pytest.mark.parametrize("options, message", [
    (["--predictions", "none"], "--predictions none: there is no index.json or .*SAVE_PREDICTIONS"),
    (["--predictions", "a", "--datasets", VOC], "--predictions a were .* leave out --datasets"),
    (["--predictions", "a", "--weights", "b"], "leave out --weights"),
])  # fmt: skip
def test_mistakes_with_predictions(options, message, tmp_path, capsys):
    assert main(["evaluate", *options, "OUTPUT_DIR", str(tmp_path)]) == 2
    assert re.match(f"error: .*{message}", capsys.readouterr().err)
