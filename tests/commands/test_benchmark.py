"""``san benchmark`` as a user runs it, on the tiny model."""

import json
import re
import shlex
import sys

import pytest

from san.cli import main
from tests.training import CONFIG

QUICK = ["--config-file", CONFIG, "--image-size", "64", "--words", "20"]
QUICK += ["--warmup", "0", "--repeats", "1", "--threads", "1"]
BASELINE = shlex.join([sys.executable, "-c", "print('{\"total\": 9.0}')"])


def run(tmp_path, *options):
    """Run the command -> exit status, results."""
    output = tmp_path / "out"
    status = main(["benchmark", *QUICK, "--output", str(output), *options])
    return status, json.loads((output / "results.json").read_text())["results"]


def test_inference_in_turn_with_a_baseline(tmp_path, capsys):
    options = "--words", "20", "40", "--baseline", BASELINE, "--rounds", "1"
    status, results = run(tmp_path, *options)
    assert status == 0 and [r["setting"]["num_words"] for r in results] == [20, 40]
    for result in results:
        stages = result["stages"]
        assert 0 < stages["CLIP deep"]["median"] < stages["total"]["median"]
        assert result["counts"]["CLIP deep"]["flops"] > 10**5
        assert result["memory"]["cpu"] >= result["memory"]["built"] > 50
        (ratio,) = result["pairs"]["time"]["total"]["ratios"]
        assert ratio == pytest.approx(9.0 / stages["total"]["median"])
        assert {"decode and resize", "write labels", "write overlay"} < {*result["files"]}
    out = capsys.readouterr().out
    assert "inference, 64 x 64 px, batch 1, 40 words" in out and "baseline / ours" in out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"results.json", "results.md", "cost_over_vocabulary.png"}


def test_training_and_text(tmp_path):
    options = ["--measure", "training", "text", "--image-size", "128", "--words", "8"]
    status, (training, text) = run(tmp_path, *options)
    assert status == 0
    assert training["counts"]["backward"]["flops"] > training["counts"]["CLIP deep"]["flops"]
    assert training["stages"]["optimizer"]["median"] > 0
    assert text["stages"]["from disk"]["median"] > 0 and text["stages"]["text tower"]["median"] > 0


def test_start_of_the_shipped_model(tmp_path):
    status, (result,) = run(tmp_path, "--measure", "start", "--config-file", "", "--words", "4")
    assert status == 0 and result["memory"]["process"] > 50
    assert result["stages"]["total"]["median"] > 0.2


def test_a_setting_that_fails_does_not_stop_the_others(tmp_path, capsys):
    code = "import json, os; assert '\"num_words\": 4' in os.environ['SAN_BENCHMARK'], 'too many'"
    code += "\nprint('{\"total\": 1.0}')"
    baseline = shlex.join([sys.executable, "-c", code])
    status, results = run(tmp_path, "--words", "8", "4", "--baseline", baseline, "--rounds", "1")
    assert status == 1 and [r["setting"]["num_words"] for r in results] == [4]
    error = capsys.readouterr().err
    assert "AssertionError: too many" in error and "1 settings could not be measured" in error


@pytest.mark.parametrize(
    "options, message",
    [
        (["--image-size", "64y32"], "--image-size 64y32: give a side or HEIGHTxWIDTH"),
        (["--weights", "my.pth", "--config-file", ""], "--weights my.pth is none of the published"),
        (["--device", "cuda:99"], "--device cuda:99 cannot be used .*: try cpu"),
        (["--config-file", "clip_tiny_shapescenes.yaml"], "'CLIP' cannot be measured: it does not"),
    ],
)
def test_mistakes(tmp_path, capfd, options, message):
    assert main(["benchmark", *QUICK, "--output", str(tmp_path), *options]) == 2
    assert re.search(message, capfd.readouterr().err)
