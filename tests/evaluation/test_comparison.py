"""Differences of cards and their noise; the cards are built by hand, figures are known."""

import copy

import numpy as np
import pytest

from san.errors import UserError
from san.evaluation.comparison import compare, find_notes, find_warnings

SET, OTHER = "a_set", "another_set"


def result(**metrics):
    vocabulary = {"classes": 3, "sha256": "a" * 64}
    return {
        "kind": "sem_seg", "images": 10, "metrics": metrics, "protocol": None,
        "vocabulary": vocabulary,
    }  # fmt: skip


def card(bootstrap=None, **metrics):
    return {
        "results": {SET: result(**metrics)},
        "model": "SAN",
        "weights": {"source": "a.pth", "file_sha256": "b" * 64, "sha256": "c" * 64},
        "config": {"sha256": "d" * 64, "values": {"INPUT.MIN_SIZE_TEST": 640}},
        "code": {"san": "0.1.0", "revision": "e" * 40, "dirty": False},
        "versions": {"torch": "2.14.1"},
        "machine": {"gpu": None},
        "bootstrap": {SET: {"level": 0.95, "seed": 0, "mIoU": bootstrap}} if bootstrap else {},
    }


def test_tolerance():
    rows = compare(card(mIoU=10.0, pACC=50.0), card(mIoU=10.1, pACC=49.8))
    assert [(row.dataset, row.metric, row.noise, row.differs) for row in rows] == [
        (SET, "mIoU", "tolerance", False),
        (SET, "pACC", "tolerance", True),
    ]
    assert rows[1].difference == pytest.approx(-0.2)
    assert (rows[1].low, rows[1].high) == (pytest.approx(-0.3), pytest.approx(-0.1))
    assert not any(row.differs for row in compare(card(mIoU=10.0), card(mIoU=10.5), 0.5))


def test_confidence_intervals():
    """Half widths of 3 and 4 make one of 5: a difference of 4.9 is noise, 5.1 is not."""
    a = card(mIoU=20.0, mIoU_ci95_low=17.0, mIoU_ci95_high=23.0)
    for difference, differs in ((4.9, False), (5.1, True), (-5.1, True)):
        value = 20.0 + difference
        b = card(mIoU=value, mIoU_ci95_low=value - 4, mIoU_ci95_high=value + 4)
        (row,) = compare(a, b)
        assert (row.metric, row.noise, row.differs) == ("mIoU", "intervals", differs)
        assert (row.low, row.high) == (
            pytest.approx(difference - 5), pytest.approx(difference + 5)
        )  # fmt: skip


def paired_cards(offset, spread):
    """Replicates that vary by 5 points, and together: B - A is ``offset`` give or take."""
    rng = np.random.default_rng(0)
    a = 30 + 5 * rng.standard_normal(500)
    b = a + offset + spread * rng.standard_normal(500)
    ends = [np.quantile(values, [0.025, 0.975]).tolist() for values in (a, b)]
    values = [30.0, 30.0 + offset]
    return [
        card(replicates.tolist(), mIoU=value, mIoU_ci95_low=low, mIoU_ci95_high=high)
        for replicates, value, (low, high) in zip((a, b), values, ends, strict=True)
    ]


def test_paired_bootstrap_sees_what_intervals_do_not():
    a, b = paired_cards(offset=1, spread=0.3)
    (row,) = compare(a, b)
    assert row.noise == "paired" and row.differs
    assert (row.low, row.high) == (pytest.approx(0.4, abs=0.1), pytest.approx(1.6, abs=0.1))
    assert not compare(*paired_cards(offset=0.4, spread=0.3))[0].differs
    (same,) = compare(a, a)
    assert (same.low, same.high, same.differs) == (0, 0, False)


@pytest.mark.parametrize("change", [
    lambda c: c["results"][SET].update(images=11),
    lambda c: c["bootstrap"][SET].update(seed=1),
    lambda c: c["bootstrap"][SET].update(mIoU=c["bootstrap"][SET]["mIoU"][:-1]),
    lambda c: c.update(bootstrap={}),
])  # fmt: skip
def test_replicates_of_other_images_are_no_pairs(change):
    a, b = paired_cards(offset=1, spread=0.3)
    change(b)
    (row,) = compare(a, b)
    assert row.noise == "intervals" and not row.differs


def test_every_bootstrapped_metric_is_paired():
    """The same images are hard for both: what intervals or a tolerance would call otherwise."""
    a, b = paired_cards(offset=0.4, spread=0.3)
    for c in (a, b):
        c["results"][SET]["metrics"]["pACC"] = c["results"][SET]["metrics"]["mIoU"]
        c["bootstrap"][SET]["pACC"] = c["bootstrap"][SET]["mIoU"]
    rows = compare(a, b)
    assert [(row.metric, row.noise, row.differs) for row in rows] == [
        ("mIoU", "paired", False),
        ("pACC", "paired", False),
    ]


def test_figures_that_are_not_there():
    """One that a card lacks is no difference but another condition; one without a value is."""
    a = card(mIoU=1.0, mIoU_seen=None, mIoU_unseen=None)
    b = card(mIoU=1.0, mIoU_seen=None, mIoU_unseen=2.0, mIoU_oracle=2.0)
    rows = {row.metric: row for row in compare(a, b)}
    assert list(rows) == ["mIoU", "mIoU_seen", "mIoU_unseen"]
    assert not rows["mIoU_seen"].differs
    unseen = rows["mIoU_unseen"]
    assert (unseen.a, unseen.b, unseen.difference, unseen.differs) == (None, 2.0, None, True)
    assert find_warnings(a, b) == [f"{SET}: mIoU_oracle only in B"]


def test_what_cannot_be_compared():
    a, b = card(mIoU=1.0), card(mIoU=1.0)
    b["results"] = {OTHER: b["results"][SET]}
    with pytest.raises(UserError, match=f"no data set in common: one has {SET}, .* {OTHER}; eval"):
        compare(a, b)
    b["results"] = {SET: {**result(top1=1.0), "kind": "zero_shot"}}
    with pytest.raises(UserError, match=f"'{SET}' has results of the kind sem_seg .* zero_shot"):
        compare(a, b)


def test_warnings_and_notes():
    a = card(mIoU=1.0)
    b = copy.deepcopy(a)
    assert find_warnings(a, b) == find_notes(a, b) == []
    b["results"][SET] |= {"images": 9, "protocol": {"name": "san", "sha256": "1" * 64}}
    b["results"][SET]["vocabulary"] = {"classes": 3, "sha256": "2" * 64}
    b["results"][OTHER] = result(mIoU=1.0)
    b["config"] = {"sha256": "3" * 64, "values": {"INPUT.MIN_SIZE_TEST": 512, "NEW": True}}
    assert find_warnings(a, b) == [
        f"{SET}: images 10 in A, 9 in B",
        f"{SET}: protocol none in A, name san, sha256 {'1' * 12} in B",
        f"{SET}: vocabulary classes 3, sha256 {'a' * 12} in A, classes 3, sha256 {'2' * 12} in B",
        f"{OTHER} is only in B",
        "config INPUT.MIN_SIZE_TEST: 640 in A, 512 in B",
        "config NEW: none in A, True in B",
    ]
    b["weights"]["source"], b["code"]["dirty"] = "b.pth", True
    assert find_notes(a, b) == [
        "weights source: a.pth in A, b.pth in B",
        "code dirty: False in A, True in B",
    ]


def test_card_without_a_model():
    a, b = card(mIoU=1.0), card(mIoU=1.0)
    b |= {"model": None, "config": None}
    assert find_warnings(a, b) == ["model SAN in A, none in B"]
