import os
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data.transforms import ResizeShortestEdge
from PIL import Image

from san import Segmentation, Segmenter, Vocabulary
from san.errors import UserError
from san.predictor import as_vocabulary
from tests.tiny import CONFIG, SMALL, build_segmenter, save_weights

WORDS = ["sky", "sea|water", "sand", "boat"]


@pytest.fixture(scope="module")
def segmenter():
    return build_segmenter()


@pytest.fixture(scope="module")
def image():
    with Image.open(Path(__file__).parents[1] / "demo" / "images" / "seen" / "seen_1.jpg") as scene:
        return np.asarray(scene.resize((120, 90)))


def test_segments_at_the_size_of_the_image(segmenter, image):
    result = segmenter(image, WORDS)
    assert isinstance(result, Segmentation)
    assert result.label_map.shape == result.scores.shape == (90, 120)
    assert result.label_map.dtype == np.int32
    assert result.scores.dtype == np.float32
    assert set(np.unique(result.label_map)) <= {0, 1, 2, 3}
    assert result.names == ("sky", "sea", "sand", "boat")
    assert result.colors.shape == (4, 3)


def test_label_map_is_that_of_the_models_scores(segmenter, image):
    result = segmenter(image, WORDS)
    transform = ResizeShortestEdge([64, 64], 512).get_transform(image)
    resized = torch.from_numpy(transform.apply_image(image).transpose(2, 0, 1).copy())
    inputs = {"image": resized, "height": 90, "width": 120, "vocabulary": WORDS}
    with torch.no_grad():
        scores = segmenter.model([inputs])[0]["sem_seg"].numpy()
    np.testing.assert_allclose(result.scores, scores.max(axis=0), atol=1e-5)
    chosen = np.take_along_axis(scores, result.label_map[None].astype(np.int64), axis=0)[0]
    np.testing.assert_allclose(chosen, scores.max(axis=0), atol=1e-5)


def test_every_source_gives_the_same(segmenter, image, tmp_path):
    Image.fromarray(image).save(tmp_path / "a.png")
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    expected = segmenter(image, WORDS).label_map
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(image)):
        for vocabulary in (tmp_path / "words.txt", Vocabulary.from_words(WORDS)):
            result = segmenter(source, vocabulary)
            np.testing.assert_array_equal(result.label_map, expected)


def test_areas_are_pixels_by_name(segmenter, image):
    result = segmenter(image, WORDS)
    labels = np.full((90, 120), -1, np.int32)
    labels[:10], labels[10:40] = 2, 1
    result = Segmentation(result.image, result.vocabulary, labels, result.scores)
    assert list(result.areas().items()) == [("sea", 30 * 120), ("sand", 10 * 120)]


def test_background_threshold_gives_pixels_to_no_class(segmenter, image):
    assert (segmenter(image, WORDS, background_threshold=0.0).label_map == -1).all()
    assert (segmenter(image, WORDS, background_threshold=1.0).label_map >= 0).all()
    vocabulary = Vocabulary.from_words(WORDS, background_threshold=0.0)
    assert (segmenter(image, vocabulary).label_map == -1).all()
    assert (segmenter(image, vocabulary, background_threshold=1.0).label_map >= 0).all()


def test_templates_of_the_vocabulary_are_used_for_it_alone(segmenter, image):
    before = segmenter(image, WORDS).scores
    other = Vocabulary.from_words(WORDS, templates=["a drawing of many a {}"])
    assert np.abs(segmenter(image, other).scores - before).max() > 0
    named = Vocabulary.from_words(WORDS, templates="identity")
    same = Vocabulary.from_words(WORDS, templates=["{}"])
    np.testing.assert_array_equal(segmenter(image, named).scores, segmenter(image, same).scores)
    np.testing.assert_array_equal(segmenter(image, WORDS).scores, before)
    with pytest.raises(UserError, match="'imagnet'"):
        segmenter(image, Vocabulary.from_words(WORDS, templates="imagnet"))


def test_saves_overlay_and_labels(segmenter, image, tmp_path):
    result = segmenter(image, WORDS)
    overlay, labels = result.save(tmp_path / "new" / "photo.v2")
    assert sorted(os.listdir(tmp_path / "new")) == ["photo.v2.labels.png", "photo.v2.overlay.jpg"]
    with Image.open(labels) as saved:
        np.testing.assert_array_equal(np.asarray(saved), result.label_map)
    with Image.open(overlay) as saved:
        assert saved.format == "JPEG"
        assert saved.size == result.overlay().size


def test_saves_the_ids_of_the_vocabulary(segmenter, image, tmp_path):
    ids = [7, 300, 0, 65534]
    result = segmenter(image, Vocabulary.from_words(WORDS, ids=ids), background_threshold=0.4)
    expected = np.where(result.label_map < 0, -1, np.array(ids)[result.label_map])
    np.testing.assert_array_equal(result.id_map, expected)
    _, labels = result.save(tmp_path / "photo", with_ids=True)
    with Image.open(labels) as saved:
        np.testing.assert_array_equal(np.asarray(saved), np.where(expected < 0, 65535, expected))
    result = segmenter(image, Vocabulary.from_words(WORDS, ids=[0, 1, 2, 65535]))
    with pytest.raises(UserError, match="class 'boat' has the id 65535: label files hold ids up"):
        result.save(tmp_path / "other", with_ids=True)
    assert not list(tmp_path.glob("other*"))


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 40000)])
def test_extreme_sizes(segmenter, size):
    result = segmenter(np.full(size, 128, np.uint8), WORDS)
    assert result.label_map.shape == size
    assert np.isfinite(result.scores).all()


def test_twenty_megapixels_in_bounded_memory(segmenter):
    """The classes are many: a volume of their scores would take 4 GB."""
    resource = pytest.importorskip("resource")
    image = np.zeros((4000, 5000), np.uint8)
    segmenter(image[:400, :500], [f"word {i}" for i in range(50)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    result = segmenter(image, [f"word {i}" for i in range(50)])
    assert result.label_map.shape == (4000, 5000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000


def test_random_weights_are_always_the_same(image):
    state = torch.random.get_rng_state()
    one = Segmenter.from_config(CONFIG, opts=SMALL, device="cpu")
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(5)
    two = Segmenter.from_config(CONFIG, opts=[*SMALL, "MODEL.DEVICE", "cpu"])
    assert not one.trained
    assert one.source["weights"] is None
    np.testing.assert_array_equal(one(image, WORDS).scores, two(image, WORDS).scores)


def test_the_shipped_model(image):
    segmenter = Segmenter.from_pretrained(device="cpu")
    assert segmenter.trained
    assert segmenter.source == {"config": "san_tiny_shapescenes.yaml", "weights": "san://san_tiny"}
    # It shows bricks, soil, an orange ring and a purple square
    areas = segmenter(image, ["brick", "soil", "orange ring", "purple square", "snow"]).areas()
    shares = {name: area / image[..., 0].size for name, area in areas.items()}
    assert all(shares[name] > 0.1 for name in ("brick", "soil", "orange ring")), shares
    assert shares.get("snow", 0) < 0.1, shares


def test_weights_of_ones_own(segmenter, image, tmp_path):
    path = str(save_weights(segmenter, tmp_path))
    expected = segmenter(image, WORDS)
    for mine in (
        Segmenter.from_pretrained(path, "cpu", CONFIG, SMALL),
        Segmenter.from_config(CONFIG, path, SMALL, "cpu"),
        Segmenter.from_config(CONFIG, None, [*SMALL, "MODEL.WEIGHTS", path], "cpu"),
    ):
        assert mine.trained
        assert mine.source == {"config": CONFIG, "weights": path}
        np.testing.assert_array_equal(mine(image, WORDS).scores, expected.scores)


def test_mistakes_in_building():
    with pytest.raises(UserError, match=r"'mine.pth' is none of the .*san_tiny.*config file too"):
        Segmenter.from_pretrained("mine.pth")
    with pytest.raises(UserError, match=r"config file 'none.yaml' not found"):
        Segmenter.from_config("none.yaml")
    with pytest.raises(UserError, match=r"device 'gpu' cannot be used .*: try 'cpu'"):
        Segmenter.from_config(CONFIG, device="gpu")
    with pytest.raises(UserError, match=r"device 'cuda:77' cannot be used .*: try 'cpu'"):
        Segmenter.from_config(CONFIG, opts=["MODEL.DEVICE", "cuda:77"])


def test_mistakes_in_calling(segmenter, image, tmp_path):
    with pytest.raises(UserError, match="the vocabulary is empty"):
        segmenter(image, [])
    with pytest.raises(UserError, match="background_threshold is 2"):
        segmenter(image, WORDS, background_threshold=2)
    with pytest.raises(UserError, match=r"none\.jpg: no such image file"):
        segmenter(tmp_path / "none.jpg", WORDS)
    with pytest.raises(UserError, match=r"the word 'mouse mouse.*' has 90 tokens"):
        segmenter(image, ["cat", "mouse " * 90])
    with pytest.raises(UserError, match=r"the word 'mouse mouse.*' has 90 tokens"):
        segmenter.prepare(["cat", "mouse " * 90])


def test_vocabulary_of_any_kind(tmp_path):
    vocabulary = Vocabulary.from_words(["cat"])
    assert as_vocabulary(vocabulary) is vocabulary
    assert as_vocabulary(("cat", "dog")).names == ("cat", "dog")
    with pytest.raises(UserError, match=r"vocabulary file cat cannot be read"):
        as_vocabulary("cat")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_cpu(segmenter, image):
    cuda = Segmenter.from_config(CONFIG, opts=SMALL)
    assert cuda.device.type == "cuda"
    result, expected = cuda(image, WORDS), segmenter(image, WORDS)
    np.testing.assert_allclose(result.scores, expected.scores, atol=1e-3)
