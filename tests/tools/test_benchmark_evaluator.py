"""The comparison with Detectron2's evaluator, on images too small to tell anything."""

import importlib
from pathlib import Path

TOOLS = Path(__file__).parents[2] / "tools"


def test_one_image_of_each_kind(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(TOOLS))
    tool = importlib.import_module("benchmark_evaluator")
    sizes = ["--size", "24", "32", "--score-size", "16", "16"]
    assert tool.main(["--rounds", "1", "--images", "1", "--score-images", "1", *sizes]) == 0
    out = capsys.readouterr().out
    assert [f"{way}: ratio" in out for way in ("label map", "counts only", "scores")] == [True] * 3
    assert out.count("metrics are equal") == 3
