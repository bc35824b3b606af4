"""Named sets of prompt templates.

"vild": the 14 of ViLD (arXiv 2104.13921), as the published SAN uses them, full stops and all.
"imagenet": the 80 of CLIP (arXiv 2103.00020), notebook "Prompt Engineering for ImageNet".
"maskclip": the 85 of MaskCLIP (arXiv 2112.01071), those 80 and 5 of things in a scene.
"photo": one prompt, as GroupViT (arXiv 2202.11094) has. "identity": the word itself.
"""

from open_clip import OPENAI_IMAGENET_TEMPLATES

from san.errors import UserError

_IMAGENET = tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)

TEMPLATES = {
    "vild": (
        "a photo of a {}.",
        "This is a photo of a {}",
        "There is a {} in the scene",
        "There is the {} in the scene",
        "a photo of a {} in the scene",
        "a photo of a small {}.",
        "a photo of a medium {}.",
        "a photo of a large {}.",
        "This is a photo of a small {}.",
        "This is a photo of a medium {}.",
        "This is a photo of a large {}.",
        "There is a small {} in the scene.",
        "There is a medium {} in the scene.",
        "There is a large {} in the scene.",
    ),
    "imagenet": _IMAGENET,
    "maskclip": (
        *_IMAGENET,
        "there is a {} in the scene.",
        "there is the {} in the scene.",
        "this is a {} in the scene.",
        "this is the {} in the scene.",
        "this is one {} in the scene.",
    ),
    "photo": ("a photo of a {}.",),
    "identity": ("{}",),
}


def get_templates(name, origin="MODEL.SAN.CLIP_TEMPLATE_SET"):
    """The templates called ``name``; a UserError that starts with ``origin`` if there are none."""
    if name not in TEMPLATES:
        raise UserError(
            f"{origin}: there are no templates {name!r}; there are "
            f"{', '.join(map(repr, TEMPLATES))}"
        )
    return TEMPLATES[name]
