"""Convert weights between the official SAN's format and this package's, bit for bit.

san convert-weights san_vit_b_16.pth san_vit_b_16.safetensors
san convert-weights output/model_final.pth for_official.pth
"""

from pathlib import Path

from san.checkpoint import activation_of, is_official, local_path, to_official, to_san
from san.errors import UserError, exit_on_user_error
from san.weight_file import read_checkpoint, save_weights

_FORMATS = {"official": "the official SAN's", "san": "this package's"}


def add_arguments(parser):
    """Add the arguments of the command to an argparse parser."""
    parser.add_argument("input", help="weight file, URL or san://NAME, in either format")
    parser.add_argument("output", help="file to write: .pth, or .safetensors for this package")
    parser.add_argument(
        "--to", choices=tuple(_FORMATS), help="format to write (default: the other one)"
    )
    parser.add_argument(
        "--clip-activation",
        choices=("quick_gelu", "gelu"),
        help="activation of CLIP that the weights were trained with, where the file does not say "
        "(default for official files: quick_gelu, that of OpenAI's CLIP)",
    )


@exit_on_user_error
def main(args):
    """Run the command on parsed arguments -> exit status."""
    print(convert(args.input, args.output, to=args.to, clip_activation=args.clip_activation))
    return 0


def convert(source, target, to=None, clip_activation=None):
    """Convert a weight file; only weights are kept, not the state of training.

    Args:
        source (str): path, URL or ``san://NAME``.
        target (str): file to write, atomically; its folder is made if there is none.
        to (str): "official", "san", or None: the format that the source does not have.
        clip_activation (str): "quick_gelu", "gelu", or None: what the file says. Both formats note
            it in the file (the official code pays no heed to the note).

    Returns:
        str: what was written, in one sentence.

    Raises a UserError for anything but a SAN checkpoint, and where the activation is unknown or
    another than what the file says.
    """
    path, target = Path(local_path(source)), Path(target)
    checkpoint = read_checkpoint(path)
    official = is_official(checkpoint["model"])
    to = to or ("san" if official else "official")
    _check_target(path, target, to)
    metadata = {"clip_activation": _activation(checkpoint, clip_activation, source)}
    weights = to_san(checkpoint["model"]) if official else checkpoint["model"]
    renamed = to_official(weights)  # whatever is written: it refuses foreign keys
    written = renamed if to == "official" else weights
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_weights(target, written, metadata)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error}") from None
    dropped = sorted(checkpoint.keys() - {"model", "metadata"})
    return (
        f"wrote {target} in {_FORMATS[to]} format: {len(written)} tensors (of "
        f"{len(checkpoint['model'])}), {sum(map(_numel, written.values())) / 1e6:.1f} M values, "
        f"CLIP with {metadata['clip_activation']}; left out: {', '.join(dropped) or 'nothing'}"
    )


def _numel(tensor):
    return tensor.numel()


def _check_target(path, target, to):
    suffixes = (".pth", ".safetensors") if to == "san" else (".pth",)
    if target.suffix not in suffixes:
        raise UserError(
            f"cannot write {target}: {_FORMATS[to]} weights are {' or '.join(suffixes)} files"
        )
    if target.exists() and target.samefile(path):
        raise UserError(f"cannot write {target}: it is the file to convert; choose another name")


def _activation(checkpoint, given, source):
    noted = checkpoint["metadata"].get("clip_activation")
    if given and noted and given != noted:
        raise UserError(f"{source} says that its CLIP has {noted}, not {given}")
    activation = given or activation_of(checkpoint)
    if activation is None:
        raise UserError(
            f"{source} does not say which activation its CLIP was trained with; say it with "
            "--clip-activation quick_gelu (OpenAI's CLIP) or gelu"
        )
    return activation
