"""Does a checkpoint fit a model? If not, say how they differ and what most likely helps."""

from san.errors import UserError

_LISTED = 10  # keys named in a message, of each kind


def check_fit(state_dict, own, model_name, constants=()):
    """Raise a UserError unless a state dict has the keys and shapes of ``own``, the model's.

    ``constants`` are keys that neither side needs. The message lists the first keys of each kind
    of difference, their count, and a likely cause.
    """
    state_dict = {key: value for key, value in state_dict.items() if key not in constants}
    own = {key: value for key, value in own.items() if key not in constants}
    missing = [key for key in own if key not in state_dict]
    unknown = [key for key in state_dict if key not in own]
    misshapen = [
        f"{key} {tuple(value.shape)} (model: {tuple(own[key].shape)})"
        for key, value in state_dict.items()
        if key in own and value.shape != own[key].shape
    ]
    differences = [
        f"{len(keys)} {what}: {', '.join(keys[:_LISTED])}{', ...' * (len(keys) > _LISTED)}"
        for keys, what in (
            (missing, "parameters of the model are missing"),
            (unknown, "keys are unknown to the model"),
            (misshapen, "shapes differ"),
        )
        if keys
    ]
    if differences:
        lines = [f"the weights do not fit the model {model_name}", *differences]
        raise UserError("\n  ".join(lines + _causes(state_dict, own)))


def check_activation(activation, model):
    """Raise a UserError unless a CLIP with this activation is what the model has.

    Weights fit either activation, and the wrong one only makes results worse; so nothing but this
    tells. ``activation``: "quick_gelu", "gelu" or None (unknown). Models without an attribute
    ``clip_activation`` take any.
    """
    built = getattr(model, "clip_activation", None)
    if built is None or activation == built:
        return
    if activation is None:
        raise UserError(
            "the file does not say which activation its CLIP has, and a wrong one spoils the "
            "results; if it is known, note it in a new file with: "
            f"san convert-weights IN OUT --to san --clip-activation {built}"
        )
    openai = ', or use MODEL.SAN.CLIP_PRETRAINED_NAME "openai"' if activation != "gelu" else ""
    raise UserError(
        f"these weights belong to a CLIP with {activation}, and the model was built with {built}, "
        f'which would spoil the results: set MODEL.SAN.CLIP_ACTIVATION "{activation}"{openai}'
    )


def _causes(state_dict, own):
    """Sentences about what most likely went wrong; often one, [] if nothing is plain."""
    if not state_dict.keys() & own.keys():
        if any(key.startswith(("visual.", "transformer.", "text_model.")) for key in state_dict):
            return ["it looks like CLIP alone: MODEL.SAN.CLIP_PRETRAINED_NAME takes such a file"]
        return ["it is a checkpoint of another model (see MODEL.META_ARCHITECTURE)"]
    return [
        f"the checkpoint's {what} is {state_dict[key].shape[axis]}, the model's "
        f"{own[key].shape[axis]}: {fix}"
        for key, axis, what, fix in _SIZES
        if key in state_dict
        and key in own
        and state_dict[key].ndim == own[key].ndim
        and state_dict[key].shape[axis] != own[key].shape[axis]
    ]


# (key, axis, what its size there is, the setting that makes it)
_SIZES = (
    (
        "clip.class_embedding",
        0,
        "CLIP width",
        "use the config of its CLIP (published: san_clip_vit_res4_coco.yaml for 768, ViT-B/16; "
        "san_clip_vit_large_res4_coco.yaml for 1024, ViT-L/14)",
    ),
    (
        "side_adapter.query_embed",
        1,
        "number of queries",
        "set MODEL.SIDE_ADAPTER.NUM_QUERIES",
    ),
    (
        "side_adapter.query_embed",
        2,
        "side adapter width",
        "set MODEL.SIDE_ADAPTER.VIT_NAME",
    ),
    (
        "side_adapter.pos_embed",
        1,
        "number of patches of the side adapter",
        "set MODEL.SIDE_ADAPTER.IMAGE_SIZE",
    ),
)
