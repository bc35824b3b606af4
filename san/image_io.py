"""Read images of any kind as RGB, and write label files."""

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from san.errors import UserError
from san.files import atomic_path

NO_LABEL = 65535  # "none of these" in a label file


def read_image(source):
    """Read one image as (H,W,3) uint8 RGB.

    Args:
        source: path of a file in any format that Pillow reads (the first frame of an animation),
            a PIL image, or an array (H,W,3) RGB or (H,W) grey of uint8. The EXIF orientation is
            applied. Transparent pixels are laid on white. 16-bit grey is scaled to 8 bits;
            32-bit grey, whose range is not known, is stretched from its minimum to its maximum.

    Raises:
        UserError: no such file, not an image, damaged, or too large for Pillow (about 179
            megapixels); the message names the file.
    """
    if isinstance(source, np.ndarray):
        return _check_array(source)
    if isinstance(source, Image.Image):
        return _to_rgb(source)
    try:
        with Image.open(source) as image:
            image.load()
            return _to_rgb(image)
    except FileNotFoundError:
        raise UserError(f"{source}: no such image file: check the path") from None
    except UnidentifiedImageError:
        raise UserError(f"{source}: not an image in a format that Pillow reads") from None
    except Image.DecompressionBombError:
        limit = 2 * Image.MAX_IMAGE_PIXELS // 10**6
        raise UserError(
            f"{source}: more than {limit} megapixels: scale it down or cut it into tiles"
        ) from None
    except Exception as error:  # Pillow's readers raise many types on a damaged file
        raise UserError(
            f"{source}: the image cannot be read ({error or type(error).__name__}): "
            "the file is damaged or incomplete, fetch it again"
        ) from error


def _check_array(array):
    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not is_image or array.size == 0:
        raise UserError(
            f"an image array has shape {array.shape} and type {array.dtype}: "
            "give (height, width, 3) RGB or (height, width) grey, of uint8"
        )
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    return np.ascontiguousarray(array)


def _to_rgb(image):
    """PIL image of any mode -> (H,W,3) uint8 RGB."""
    is_16_bit = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:  # else it would be copied
        image = ImageOps.exif_transpose(image)
    if is_16_bit:
        image = Image.fromarray((np.asarray(image).astype(np.uint32) // 257).astype(np.uint8))
    elif image.mode in ("I", "F"):
        image = Image.fromarray(_stretch(np.asarray(image)))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _stretch(values):
    """Finite grey values of any range -> uint8 0..255; others become 0."""
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 1.0)
    scaled = np.where(finite, values - low, 0.0) * (255 / max(high - low, 1e-12))
    return scaled.round().astype(np.uint8)


def write_labels(path, label_map):
    """Write a label map (H,W), -1 = none, as a 16-bit PNG in which none is `NO_LABEL`."""
    labels = np.where(label_map < 0, NO_LABEL, label_map).astype(np.uint16)
    with atomic_path(path) as temporary:
        Image.fromarray(labels).save(temporary, format="PNG")
