"""What a run does is what it did: FLOPs, operator calls and bytes of tensors."""

from pathlib import Path

import pytest

from san.benchmark.reference import CASES, count_case, differences, read_reference
from san.errors import UserError

REFERENCE = Path(__file__).with_name("reference.json")
SHOWN = "tests/benchmark/reference.json"


@pytest.mark.parametrize("name", CASES)
def test_counts_are_those_of_the_reference(name):
    lines = differences(name, read_reference(REFERENCE)[name], count_case(name), SHOWN)
    assert not lines, "\n" + "\n".join(lines)


def test_differences_name_stage_kind_and_fix():
    expected = {"CLIP": {"flops": 1000, "calls": 100}, "total": {"peak_bytes": 1000}}
    near = {"CLIP": {"flops": 1009, "calls": 104}, "total": {"peak_bytes": 971}}
    assert differences("tiny", expected, near, "FILE") == []
    far = {"CLIP": {"flops": 1500, "calls": 100}, "new": {"calls": 3}, "total": {"peak_bytes": 500}}
    assert differences("tiny", expected, far, "FILE") == [
        "tiny, CLIP: flops 1,500 where 1,000 were expected (+50.0 %)",
        "tiny, new: calls 3 where 0 were expected (new)",
        "tiny, total: peak_bytes 500 where 1,000 were expected (-50.0 %)",
        "if that is meant, renew the file: `san benchmark --write-reference FILE`",
    ]


def test_a_file_that_is_no_reference(tmp_path):
    path = tmp_path / "counts.json"
    with pytest.raises(UserError, match="cannot be read .* --write-reference"):
        read_reference(path)
    path.write_text("{}")
    with pytest.raises(UserError, match="no file of counts"):
        read_reference(path)
