"""Named sets of prompt templates; data only.

"vild": the 14 of ViLD (arXiv 2104.13921), as the published SAN uses them, full stops and all.
"imagenet": the 80 of CLIP (arXiv 2103.00020), notebook "Prompt Engineering for ImageNet".
"""

from open_clip import OPENAI_IMAGENET_TEMPLATES

from san.errors import UserError

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
    "imagenet": tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES),
    "photo": ("a photo of a {}.",),
    "identity": ("{}",),
}


def get_templates(name):
    """The templates called ``name``; UserError where there are none."""
    if name not in TEMPLATES:
        raise UserError(
            f"MODEL.SAN.CLIP_TEMPLATE_SET: there are no templates {name!r}; there are "
            f"{', '.join(map(repr, TEMPLATES))}"
        )
    return TEMPLATES[name]
