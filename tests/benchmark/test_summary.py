"""Figures, tables and plots of results that are known by hand."""

import json

import matplotlib.image
import pytest

from san.benchmark.plots import write_plots
from san.benchmark.report import load_warning, overview_line, report
from san.benchmark.settings import expand
from san.benchmark.summary import spread, stage_times, summarize

ENVIRONMENT = {
    "code": {"san": "0.1.0", "revision": "abcdef0123456789", "dirty": True},
    "libraries": {"torch": "2.14.1"},
    "machine": {"system": "Linux", "cpu": "CPU", "cores": 2, "threads": 2, "gpu": None},
    "load": [1.0, 1.0, 1.0],
}
HEADER = {"command": "san benchmark", "date": "2026-01-31", "config": "a.yaml", "weights": ""}


def ours(total, environment=ENVIRONMENT):
    """What a worker gives: 1 GFLOP of 4 in the stage "CLIP", on a machine of 8 GFLOP/s."""
    samples = [{"CLIP": t / 2, "total": t, "CPU time": 2 * t} for t in (total, total, 2 * total)]
    stages = {"CLIP": {"flops": 10**9, "calls": 7}}
    counts = {**stages, "total": {"flops": 4 * 10**9, "calls": 20, "peak_bytes": 3 << 20}}
    return {
        "samples": samples,
        "files": [{"write labels": 0.01, "total": 0.01, "CPU time": 0.01}],
        "counts": counts,
        "memory": {"built": 100.0, "cpu": 150.0, "gpu": None, "process": 160.0},
        "matmul_rate": [8e9, 8e9],
        "environment": environment,
    }


def baseline(total):
    return {"samples": [{"CLIP": total, "total": total}], "memory": {"process": 320.0}}


def results(sizes=(64, 128), words=(20,), measures=("inference",), pairs=False):
    settings = expand(measures, image_size=[(s, s) for s in sizes], num_words=words)
    return [
        summarize(s, [
            {"ours": ours(1.0), "baseline": baseline(2.0) if pairs else None},
            {"ours": ours(2.0), "baseline": baseline(3.0) if pairs else None},
        ])
        for s in settings
    ]  # fmt: skip


def test_spread():
    assert spread([3.0, 1.0, 2.0, 4.0]) == {
        **{"median": 2.5, "low": 1.75, "high": 3.25, "min": 1.0, "max": 4.0}
    }
    assert set(spread([5.0]).values()) == {5.0}


def test_stages_and_the_rest():
    times = stage_times([{"a": 1.0, "total": 5.0}, {"a": 2.0, "b": 1.0, "total": 5.0}])
    assert {name: stage["median"] for name, stage in times.items()} == {
        **{"a": 1.5, "b": 0.5, "rest": 3.0, "total": 5.0}
    }
    assert list(times) == ["a", "b", "rest", "total"]
    assert list(stage_times([{"total": 1.0}])) == ["total"]


def test_summary_of_rounds():
    (result,) = results(sizes=[64])
    assert result["stages"]["total"]["median"] == 2.0  # of 1 1 2 2 2 4
    assert result["memory"] == {"built": 100.0, "cpu": 150.0, "gpu": None, "process": 160.0}
    assert result["pairs"] is None and len(result["rounds"]) == 2
    json.dumps(result, allow_nan=False)


def test_pairs():
    (result,) = results(sizes=[64], pairs=True)
    total = result["pairs"]["time"]["total"]
    assert total["ratios"] == [2.0, 1.5] and total["median"] == 1.75
    assert result["pairs"]["time"]["CLIP"]["ratios"] == [4.0, 3.0]
    assert set(result["pairs"]["time"]) == {"CLIP", "total"}
    assert result["pairs"]["memory"]["ratios"] == [2.0, 2.0]
    assert overview_line(result).endswith("peak 150 MiB; baseline / ours 1.75 (1.50 to 2.00)")


def test_report():
    text = report(results(pairs=True), HEADER)
    assert (
        "| inference | 64 x 64 | 64 x 64 | 2,000 | 1,250 to 2,000 | 4,000 | 4.00 | 25 % |" in text
    )
    assert "| CLIP | 1,000 | 625 to 1,000 | 50 % | 1.000 | 12 % | 7 |" in text
    assert "| write labels (outside) | 10.0 |" in text
    assert "| total | 1.75 | 1.50 to 2.00 | 2.00, 1.50 |" in text
    assert "Matmul rate 8 GFLOP/s; tensors of at most 3.0 MiB alive at once." in text
    assert "revision abcdef012345 with changes; torch 2.14.1" in text
    assert "The same for all: batch size 1, num words 20," in text


def test_measures_of_other_kinds_in_one_table():
    """What a measure does not have is "-": neither stages, nor counts, nor an image size."""
    (start,) = expand(["start"], source_size=(64, 64))
    one = {**ours(1.0), "samples": [{"total": 3.0}], "files": [], "counts": None}
    one = summarize(start, [{"ours": {**one, "memory": {"process": 50.0}}, "baseline": None}])
    text = report([*results(sizes=[64]), one], HEADER)
    (row,) = [line for line in text.splitlines() if line.startswith("| start ")]
    assert "| - |" in row and row.endswith("| 3,000 | 3,000 to 3,000 | - | - | - | - | 50 |")


def test_a_busy_machine_is_noted():
    assert load_warning(results()) is None
    busy = {**ours(1.0), "environment": {**ENVIRONMENT, "load": [7.0, 5.0, 5.0]}}
    (setting,) = expand(["inference"])
    warning = load_warning([summarize(setting, [{"ours": busy, "baseline": None}])])
    assert warning.startswith("the machine was busy with other work (load 7.0 on 2 cores)")


@pytest.mark.parametrize(
    "sizes, words, names",
    [
        ((64, 128), (20,), ["cost_over_image_size.png"]),
        ((64,), (20, 171, 847), ["cost_over_vocabulary.png"]),
        ((64, 128), (20, 171), ["cost_over_image_size.png", "cost_over_vocabulary.png"]),
        ((64,), (20,), []),
    ],
)
def test_plots(tmp_path, sizes, words, names):
    paths = write_plots(results(sizes, words), tmp_path)
    assert [path.name for path in paths] == names
    for path in paths:
        picture = matplotlib.image.imread(path)
        assert picture.shape[:2] == (600, 960) and picture.std() > 0.05
