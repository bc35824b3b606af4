"""Text embeddings on disk: used again, never stale, and never in the way."""

import logging
import multiprocessing
import os
import time

import pytest
import torch

from san.modeling.backbone.clip import build_clip
from san.modeling.text import text_cache
from san.modeling.text.classifier import TextClassifier
from san.modeling.text.text_cache import TextCache, file_stamp, tower_digest

WORDS = [["cat"], ["dog", "hound"]]
TWO = ("a photo of a {}.", "There is a {} in the scene")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache folder of the test's own, switched on."""
    monkeypatch.setenv("SAN_CACHE", str(tmp_path))
    monkeypatch.delenv(text_cache.SWITCH)
    return tmp_path / "text"


def make(seed=0, activation="auto"):
    torch.manual_seed(seed)
    built = build_clip("clip_tiny", activation=activation)
    return TextClassifier(built.model, built.tokenizer, TWO)


def count_prompts(classifier, monkeypatch):
    prompts, embed = [], classifier._embed_prompts
    monkeypatch.setattr(classifier, "_embed_prompts", lambda x: (prompts.extend(x), embed(x))[1])
    return prompts


def test_another_process_embeds_nothing(monkeypatch):
    expected = make()(WORDS).embeds
    again = make()
    prompts = count_prompts(again, monkeypatch)
    assert torch.equal(again(WORDS).embeds, expected)
    assert not prompts


def test_only_new_words_are_embedded(monkeypatch):
    make()(WORDS)
    again = make()
    prompts = count_prompts(again, monkeypatch)
    again([["dog"], ["bird"]])
    assert prompts == [template.format("bird") for template in TWO]
    third = make()
    prompts = count_prompts(third, monkeypatch)
    third([["bird"], ["cat"], ["hound"]])
    assert not prompts


def test_other_prompts_have_embeddings_of_their_own():
    first = make()(WORDS).embeds
    other = make()(WORDS, ("{}",)).embeds
    assert not torch.allclose(first, other)
    assert torch.equal(make()(WORDS, ("{}",)).embeds, other)
    assert torch.equal(make()(WORDS).embeds, first)


def test_one_changed_bit_makes_new_embeddings():
    classifier = make()
    stale = classifier(WORDS).embeds
    changed = make()
    with torch.no_grad():
        weight = changed.text_encoder.token_embedding.weight
        weight.view(torch.int32)[12345, 6] ^= 1
    digests = [tower_digest(c.text_encoder, c.tokenizer) for c in (classifier, changed)]
    assert digests[0] != digests[1]
    with torch.no_grad():
        changed.text_encoder.text_projection.mul_(-1)
    torch.testing.assert_close(changed(WORDS).embeds, -stale)


def test_what_is_no_weight_counts_too(monkeypatch):
    """Activation, heads, the type and precision of the numbers."""
    classifiers = [make(activation="quick_gelu"), make(activation="gelu"), make().bfloat16()]
    classifiers.append(make(activation="gelu"))
    classifiers[-1].text_encoder.blocks[0].attn.num_heads *= 2
    digests = {tower_digest(c.text_encoder, c.tokenizer) for c in classifiers}
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    digests.add(tower_digest(classifiers[0].text_encoder, classifiers[0].tokenizer))
    assert len(digests) == 5


def test_weights_changed_behind_pytorchs_back_are_not_kept_as_the_old_ones(folder):
    classifier = make()
    classifier([["cat"]])
    classifier.text_encoder.text_projection.data.mul_(-1)  # not counted as a change
    classifier([["dog"]])
    fresh = make()
    words = TextCache(tower_digest(fresh.text_encoder, fresh.tokenizer), TWO).load()
    assert list(words) == ["cat"]


def test_a_tower_in_training_is_not_cached(folder):
    classifier = make()
    classifier.text_encoder.requires_grad_(True)
    classifier(WORDS)
    assert not folder.exists()


def test_it_can_be_switched_off(folder, monkeypatch):
    make()(WORDS)
    kept = sorted(folder.rglob("*"))
    monkeypatch.setenv(text_cache.SWITCH, "0")
    classifier = make()
    prompts = count_prompts(classifier, monkeypatch)
    classifier([*WORDS, ["bird"]])
    assert len(prompts) == 8 and sorted(folder.rglob("*")) == kept


def test_weights_of_a_known_file_are_not_read_again(folder, monkeypatch):
    stamp, other = ("/weights.pth", 5, 1, 7), ("/weights.pth", 5, 2, 7)
    first, again = make(), make(seed=1)
    first.note_file(stamp)
    expected = first(WORDS).embeds
    again.note_file(stamp)  # in truth other weights, which shows that they are not read
    prompts = count_prompts(again, monkeypatch)
    assert torch.equal(again(WORDS).embeds, expected) and not prompts
    changed = make(seed=1)
    changed.note_file(other)
    assert not torch.allclose(changed(WORDS).embeds, expected)


def test_weights_that_changed_after_loading_are_not_those_of_the_file():
    first, changed = make(), make()
    first.note_file(("/weights.pth", 5, 1, 7))
    expected = first(WORDS).embeds
    changed.note_file(("/weights.pth", 5, 1, 7))
    with torch.no_grad():
        changed.text_encoder.text_projection.mul_(-1)
    torch.testing.assert_close(changed(WORDS).embeds, -expected)


def test_a_broken_note_of_a_file_is_made_again(folder):
    classifier, again = make(), make()
    for one in (classifier, again):
        one.note_file(("/weights.pth", 5, 1, 7))
    expected = classifier(WORDS).embeds
    (note,) = (folder.parent / "text_towers").iterdir()
    digest = note.read_text()
    note.write_bytes(b"\xff" * 64)
    assert torch.equal(again(WORDS).embeds, expected)
    assert note.read_text() == digest


def test_a_stamp_tells_a_changed_file(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"12345")
    before = file_stamp(path)
    assert before == file_stamp(path)
    os.utime(path, ns=(1, 1))
    assert before != file_stamp(path)


@pytest.mark.parametrize("content", [b"", b"no safetensors file", None])
def test_a_broken_file_is_embedded_anew(folder, caplog, content):
    expected = make()(WORDS).embeds
    (path,) = folder.glob("*/*.safetensors")
    path.write_bytes(path.read_bytes()[:-9] if content is None else content)
    assert torch.equal(make()(WORDS).embeds, expected)
    assert f"{path} is not a file of text embeddings" in caplog.text
    assert torch.equal(make()(WORDS).embeds, expected)
    assert caplog.text.count("deleted") == 1 and len(list(folder.glob("*/*"))) == 1


def test_a_folder_that_cannot_be_written_to_is_no_error(folder, caplog):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING):
        assert make()(WORDS).embeds.shape == (3, 64)
    assert "The text embeddings are not kept: cannot write" in caplog.text


def test_many_files_become_one(folder, monkeypatch):
    monkeypatch.setattr(text_cache, "MAX_CHUNKS", 3)
    cache = TextCache("digest", TWO)
    rows = torch.randn(8, 4)
    for i in range(8):
        cache.add([f"word {i}"], rows[i : i + 1])
    assert len(list(cache.folder.iterdir())) <= 3
    words = cache.load()
    assert list(words) == [f"word {i}" for i in range(8)]
    assert torch.equal(torch.stack(list(words.values())), rows)


def test_what_several_processes_embed_at_once_is_kept_once(folder):
    cache, row = TextCache("digest", TWO), torch.zeros(1, 4)
    for _ in range(3):
        cache.add(["word"], row)
    assert len(list(cache.folder.iterdir())) == 1


def test_a_file_that_holds_all_words_already_stays(monkeypatch):
    monkeypatch.setattr(text_cache, "MAX_CHUNKS", 1)
    cache, row = TextCache("digest", TWO), torch.zeros(1, 4)
    cache.add(["word"], row)
    cache.add(["word"], row)  # merged with the same
    assert list(cache.load()) == ["word"]


def test_words_are_bounded(monkeypatch):
    monkeypatch.setattr(text_cache, "MAX_CHUNKS", 1)
    monkeypatch.setattr(text_cache, "MAX_WORDS", 4)
    cache = TextCache("digest", TWO)
    for i in range(6):
        cache.add([f"word {i}"], torch.zeros(1, 4))
    assert list(cache.load()) == ["word 2", "word 3", "word 4", "word 5"]


def test_the_folder_not_used_for_longest_goes_first(monkeypatch):
    row = torch.zeros(1, 1000)
    caches = [TextCache(f"digest {i}", TWO) for i in range(4)]
    for i, cache in enumerate(caches[:3]):
        cache.add(["word"], row)
        os.utime(cache.folder, (i, i))
    caches[0].load()  # used just now
    monkeypatch.setattr(text_cache, "MAX_BYTES", 9500)  # room for two
    caches[3].add(["word"], row)
    assert [cache.folder.exists() for cache in caches] == [True, False, False, True]


def add_words(worker):
    cache = TextCache("digest", TWO)
    for i in range(10):
        cache.add([f"word {worker} {i}"], torch.full((1, 4), worker * 10.0 + i))
        for word, row in cache.load().items():
            _, by, number = word.split()
            assert row.tolist() == [int(by) * 10.0 + int(number)] * 4


def test_several_processes_share_it(monkeypatch):
    monkeypatch.setattr(text_cache, "MAX_CHUNKS", 4)
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=add_words, args=(worker,)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(TextCache("digest", TWO).load()) == 40


def test_847_words_come_back_in_50_ms():
    words = [f"word {i}" for i in range(847)]
    TextCache("digest", TWO).add(words, torch.randn(847, 512))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        found = TextCache("digest", TWO).load()
        torch.stack([found[word] for word in words])
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05
