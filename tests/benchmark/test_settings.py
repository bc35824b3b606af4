"""Sweeps: which settings there are, and how they are written."""

import json
import platform

import pytest

from san.benchmark.settings import Setting, expand, parse_size
from san.errors import UserError


def test_expand_combines_all_choices():
    settings = expand(["inference"], image_size=[(64, 64), (96, 128)], num_words=[20, 171])
    assert [(s.image_size, s.num_words) for s in settings] == [
        ((64, 64), 20),
        ((64, 64), 171),
        ((96, 128), 20),
        ((96, 128), 171),
    ]
    assert all(s.source_size == s.image_size for s in settings)
    (large,) = expand(["inference"], source_size=(3000, 4000), image_size=[(64, 64)])
    assert large.source_size == (3000, 4000)


def test_what_a_measure_does_not_depend_on_is_measured_once():
    sizes = [(64, 64), (128, 128)]
    (text,) = expand(["text"], image_size=sizes, dtype=["float32", "bfloat16"], num_words=[20])
    assert (text.image_size, text.dtype, text.num_words) == (None, None, 20)
    assert len(expand(["training"], image_size=sizes)) == 2
    assert len(expand(["start"], source_size=(64, 64), image_size=sizes)) == 1


def test_title_and_json():
    setting = Setting(source_size=(3000, 4000), compile="default")
    assert setting.title() == (
        "inference, 640 x 640 px, batch 1, 171 words, float32, cpu, compiled (default), default "
        "allocator, of 3000 x 4000"
    )
    assert Setting.from_dict(json.loads(json.dumps(setting.as_dict()))) == setting
    (text,) = expand(["text"])
    assert text.title() == "text, 171 words, cpu, default allocator"
    assert Setting.from_dict(json.loads(json.dumps(text.as_dict()))) == text


def test_sizes():
    assert parse_size("640") == (640, 640) and parse_size("480x640") == (480, 640)
    for text in ("0", "640x0", "-5", "a", "1x2x3", ""):
        with pytest.raises(ValueError):
            parse_size(text)


def test_tuned_allocator_is_that_of_glibc(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    with pytest.raises(UserError, match="--allocator tuned sets up the C library glibc, which"):
        expand(["inference"], allocator=["default", "tuned"])
    assert len(expand(["inference"], allocator=["default"])) == 1
