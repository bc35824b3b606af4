import numpy as np
import pytest
from PIL import Image

from san.errors import UserError
from san.image_io import NO_LABEL, read_image, write_labels

RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def saved(folder, image, name, **options):
    image.save(folder / name, **options)
    return folder / name


def test_rgb_file_array_and_pil_image_are_the_same(tmp_path):
    path = saved(tmp_path, Image.fromarray(RGB), "a.png")
    for source in (path, str(path), RGB, Image.fromarray(RGB)):
        image = read_image(source)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, RGB)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LAB", "HSV", "RGBA", "LA", "PA"])
def test_every_mode_becomes_rgb(mode):
    gray = Image.fromarray(np.full((4, 6), 200, np.uint8))
    if mode == "LAB":  # which Pillow cannot convert to: L 200/255, neutral
        image = Image.merge("LAB", [gray, *[Image.new("L", gray.size, 128)] * 2])
    else:
        base = gray.convert("L" if mode in ("LA", "PA", "1") else "RGB")
        image = base.convert("LA").convert("PA") if mode == "PA" else base.convert(mode)
    pixels = read_image(image)
    assert pixels.shape == (4, 6, 3)
    expected = 255 if mode == "1" else 200
    if mode != "1":
        assert abs(pixels.astype(int) - expected).max() <= (20 if mode == "LAB" else 6)


def test_transparent_pixels_are_laid_on_white(tmp_path):
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    rgba[0, 1] = (0, 0, 0, 128)
    path = saved(tmp_path, Image.fromarray(rgba), "a.png")
    pixels = read_image(path)
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert abs(pixels[0, 1].astype(int) - 127).max() <= 1
    assert pixels[1].tolist() == [[255, 255, 255]] * 2
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    palette.putpalette([9, 9, 9, 50, 60, 70])
    path = saved(tmp_path, palette, "b.gif", transparency=0)
    assert read_image(path).tolist() == [[[255, 255, 255], [50, 60, 70]]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_gray_is_scaled(tmp_path, suffix):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    path = saved(tmp_path, Image.fromarray(values), f"a.{suffix}")
    assert read_image(path)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_gray_of_unknown_range_is_stretched(tmp_path):
    values = np.array([[-1.0, 0.0, 1.0, np.nan]], np.float32)
    path = saved(tmp_path, Image.fromarray(values), "a.tif")
    assert read_image(path)[0, :, 0].tolist() == [0, 128, 255, 0]
    assert read_image(Image.fromarray(np.full((1, 2), 7, np.int32))).max() == 0


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to show
    path = saved(tmp_path, Image.fromarray(RGB), "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(path), np.rot90(RGB, -1))


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (3, 2), color) for color in ("red", "blue")]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]


def test_gray_array_and_views(tmp_path):
    assert read_image(RGB[..., 0]).shape == (4, 6, 3)
    np.testing.assert_array_equal(read_image(RGB[:, ::-1]), RGB[:, ::-1])


@pytest.mark.parametrize("shape", [(4,), (4, 6, 4), (0, 5, 3)])
def test_bad_array(shape):
    with pytest.raises(UserError, match="an image array has shape .*: give"):
        read_image(np.zeros(shape, np.uint8))
    with pytest.raises(UserError, match="and type float32: give"):
        read_image(RGB.astype(np.float32))


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "tif", "webp"])
def test_truncated_image_is_named(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), f"cut.{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=rf"cut\.{suffix}: .*(fetch it again|not an image)"):
        read_image(path)


def test_files_that_are_no_images(tmp_path):
    with pytest.raises(UserError, match=r"none\.jpg: no such image file"):
        read_image(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(UserError, match=r"text\.jpg: not an image in a format that Pillow reads"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(UserError, match="the image cannot be read"):
        read_image(tmp_path)


def test_decompression_bomb_is_refused(tmp_path):
    path = saved(tmp_path, Image.new("1", (20000, 9500)), "huge.png")
    with pytest.raises(UserError, match=r"huge\.png: more than 178 megapixels: scale it down"):
        read_image(path)


def test_labels_round_trip(tmp_path):
    write_labels(tmp_path / "new" / "a.labels.png", np.array([[-1, 0], [300, 65534]], np.int32))
    with Image.open(tmp_path / "new" / "a.labels.png") as image:
        assert np.asarray(image).tolist() == [[NO_LABEL, 0], [300, 65534]]
