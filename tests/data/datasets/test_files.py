"""Reading label maps of all kinds, and what bad files get."""

import numpy as np
import pytest
from PIL import Image

from san.data.datasets import load_label_map
from san.errors import UserError

IDS_8BIT = np.array([[0, 1, 170], [254, 255, 7]], np.uint8)
IDS_16BIT = np.array([[0, 300, 846], [65535, 255, 256]], np.uint16)


@pytest.mark.parametrize(
    "name, ids",
    [
        ("grey.png", IDS_8BIT),
        ("grey.tif", IDS_8BIT),
        ("wide.png", IDS_16BIT),
        ("wide.tif", IDS_16BIT),
    ],
)
def test_label_map_keeps_the_ids(tmp_path, name, ids):
    Image.fromarray(ids).save(tmp_path / name)
    labels = load_label_map(tmp_path / name)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, ids)
    as_stored = load_label_map(tmp_path / name, dtype=None)
    assert as_stored.dtype == ids.dtype
    np.testing.assert_array_equal(as_stored, ids)


def test_big_endian_tiff(tmp_path):
    height, width = IDS_16BIT.shape
    pixels = IDS_16BIT.astype(">u2").tobytes()
    Image.frombytes("I;16B", (width, height), pixels).save(tmp_path / "big.tif")
    np.testing.assert_array_equal(load_label_map(tmp_path / "big.tif"), IDS_16BIT)


def test_palette_label_map_gives_indices(tmp_path):
    image = Image.fromarray(IDS_8BIT, mode="L").convert("P")
    image.putdata(IDS_8BIT.reshape(-1).tolist())
    image.putpalette(np.random.RandomState(0).randint(0, 256, 768).tolist())
    image.save(tmp_path / "palette.png")
    assert Image.open(tmp_path / "palette.png").mode == "P"
    np.testing.assert_array_equal(load_label_map(tmp_path / "palette.png"), IDS_8BIT)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "1", "F"])
def test_label_map_of_other_kind_is_refused(tmp_path, mode):
    path = tmp_path / ("labels.tif" if mode == "F" else "labels.png")
    Image.new(mode, (4, 4)).save(path)
    with pytest.raises(UserError, match=rf"{path.name}: a label map has one channel.*'{mode}'"):
        load_label_map(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_truncated_label_map_is_named(tmp_path, suffix, share):
    path = tmp_path / f"labels.{suffix}"
    Image.fromarray(np.random.RandomState(0).randint(0, 999, (64, 64)).astype(np.uint16)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match=rf"labels\.{suffix}: cannot read this label map"):
        load_label_map(path)


def test_missing_and_alien_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.png: cannot read this label map"):
        load_label_map(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(UserError, match=r"text\.png: cannot read this label map"):
        load_label_map(tmp_path / "text.png")
