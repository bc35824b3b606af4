"""The tables of docs/results.md: what runs are found, what stands in a line, what is kept."""

import importlib
import json
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The tool, with a page and figures of the test's own."""
    monkeypatch.syspath_prepend(str(TOOLS))
    tool = importlib.import_module("results_table")
    monkeypatch.setattr(tool, "FIGURES", tmp_path / "docs" / "figures.json")
    monkeypatch.setattr(tool, "PAGE", tmp_path / "page.md")
    tool.PAGE.write_text(f"head\n{tool.BEGIN}old\n{tool.END}tail\n")
    monkeypatch.setattr(sys, "argv", ["results_table.py", str(tmp_path / "output")])
    return tool


def evaluated(tool, folder, run, value, others=True):
    results = {}
    for name, metric in tool.COLUMNS.values():
        if others or name == "shapescenes_val":
            results.setdefault(name, {})[metric] = value
    path = folder / "output" / run / "inference" / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results))


def test_runs_become_lines_and_seeds_one_line_with_their_spread(table, tmp_path):
    for run, value in {"sclip": 7, "san": 40, "san_seed_1": 42, "no_fusion": 30}.items():
        evaluated(table, tmp_path, run, value)
    table.main()
    page = table.PAGE.read_text()
    assert page.startswith("head\n") and page.endswith("tail\n") and "old" not in page
    lines = {line.split(" | ")[0]: line for line in page.splitlines()}
    assert lines["| SCLIP"].count("7.0") == len(table.COLUMNS)
    assert lines["| SAN, 2 seeds"].count("41.0 ± 1.4") == len(table.COLUMNS)
    assert "30.0" in lines["| without CLIP's features in the side adapter"]
    assert "MaskCLIP" not in page


def test_one_seed_has_no_spread(table, tmp_path):
    evaluated(table, tmp_path, "san", 40)
    table.main()
    page = table.PAGE.read_text()
    assert "| SAN | 40.0 | 40.0" in page and "Ablations" not in page


def test_a_data_set_that_was_not_evaluated_has_a_dash(table, tmp_path):
    evaluated(table, tmp_path, "no_fusion", 30, others=False)
    table.main()
    assert "| 30.0 | 30.0 | 30.0 | - | - | - | - | - | - |" in table.PAGE.read_text()


def test_figures_of_earlier_runs_stay(table, tmp_path):
    evaluated(table, tmp_path, "sclip", 7)
    table.main()
    evaluated(table, tmp_path, "sclip", 8)
    evaluated(table, tmp_path, "maskclip", 9)
    table.main()
    table.main()
    page = table.PAGE.read_text()
    assert "| SCLIP | 8.0" in page and "| MaskCLIP | 9.0" in page
    assert page.count("### Methods") == 1


def test_an_evaluation_of_something_else_is_no_run(table, tmp_path):
    path = tmp_path / "output" / "own" / "inference" / "results.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"own_val": {"mIoU": 1}}))
    table.main()
    assert json.loads(table.FIGURES.read_text()) == {}


def test_a_folder_that_is_not_there_is_named(table, capsys):
    with pytest.raises(SystemExit, match="2"):
        table.main()
    assert "output: no such folder; tools/train_tiny.py makes it" in capsys.readouterr().err
    assert not table.FIGURES.exists()
