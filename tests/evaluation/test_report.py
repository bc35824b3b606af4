"""Evaluation results in the forms of JSON and Markdown."""

from san.evaluation.report import markdown_table, overall_table, without_nan


def test_nan_becomes_none():
    value = {"a": float("nan"), "b": [{"c": 0.5}, float("nan")]}
    assert without_nan(value) == {"a": None, "b": [{"c": 0.5}, None]}


def test_markdown_table():
    table = markdown_table(("class", "IoU"), [("a|b", 12.345), ("tree", float("nan"))])
    assert table == "| class | IoU |\n| --- | ---: |\n| a\\|b | 12.35 |\n| tree | - |\n"


def test_overall_table():
    metrics = {"mIoU": 1.0, "fwIoU": 2.0, "IoU-tree": 9.0, "mACC": 3.0, "pACC": 4.0}
    last = overall_table({"voc": metrics}).splitlines()[-1]
    assert last == "| voc | 1.00 | 2.00 | 3.00 | 4.00 |"
