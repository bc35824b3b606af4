"""JSON and Markdown files of evaluation results."""

import json

import pytest

from san.evaluation.report import markdown_table, overall_table, write_json, write_text


def test_nan_becomes_null(tmp_path):
    path = tmp_path / "new" / "result.json"
    write_json(path, {"a": float("nan"), "b": [{"c": 0.5}, float("nan")]})
    assert json.loads(path.read_text()) == {"a": None, "b": [{"c": 0.5}, None]}


def test_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "result.md"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")  # not encodable: fails half way
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_markdown_table():
    table = markdown_table(("class", "IoU"), [("a|b", 12.345), ("tree", float("nan"))])
    assert table == "| class | IoU |\n| --- | ---: |\n| a\\|b | 12.35 |\n| tree | - |\n"


def test_overall_table():
    metrics = {"mIoU": 1.0, "fwIoU": 2.0, "IoU-tree": 9.0, "mACC": 3.0, "pACC": 4.0}
    last = overall_table({"voc": metrics}).splitlines()[-1]
    assert last == "| voc | 1.00 | 2.00 | 3.00 | 4.00 |"
