"""Describe a planned scene in words: several captions of one image, in varied wording.

All captions of an image speak of the same things, its main ones; what they speak of is its
*content*. So images of one content are described by each other's captions.
"""

from dataclasses import dataclass

from .classes import CLASSES, COLORS, PATTERNS, SHAPES, STUFF

NUM_CAPTIONS = 4
CANONICAL_SHARE = 0.55  # how often a word is the class name's own, and not a synonym
# How often a lone thing is named by its shape alone ("a star"), and by its color alone
SHAPE_ALONE, COLOR_ALONE = 0.55, 0.05
_ONE = (
    "{}", "{}", "a photo of {}", "this is a photo of {}", "there is {} in the scene",
    "one can see {}", "here is {}", "a picture of {}", "an image of {}",
    "a photo of {} in the scene",
)  # fmt: skip
_ON = ("{} on the {}", "{} on {}", "{} in front of the {}", "{}, with {} around it", "{} over {}")
_STUFF_ONLY = (
    "{}", "a photo of {}", "this is a photo of the {}", "nothing but {}", "a close-up of the {}",
    "only {} to be seen", "there is the {} in the scene", "a patch of {}",
)  # fmt: skip
_TWO = ("{} and {}", "{} next to {}", "{} with {}", "{} beside {}")
_SCENE = ("a scene with {}", "{}", "a photo of {}", "this shows {}", "there is {} in the scene")


@dataclass(frozen=True)
class Mention:
    """What the captions of an image speak of.

    Attributes:
        color, shape, pattern: of the things; at least one of color and shape.
        stuff: the background of things.
    """

    color: bool = True
    shape: bool = True
    pattern: bool = False
    stuff: bool = True


def choose_mention(rng, scene):
    """Choose what the captions of a scene speak of: mostly color and shape.

    That some name the shape alone is how people speak, and what makes CLIP learn shapes: pairs that
    the color tells apart teach it nothing more.

    Args:
        rng (np.random.Generator).
        scene (Scene).
    Returns:
        Mention
    """
    is_alone = len(scene.main_things) == 1
    partial = rng.random() if is_alone else 1.0
    is_patterned = any(thing.pattern != "plain" for thing in scene.main_things)
    return Mention(
        color=partial >= SHAPE_ALONE,
        shape=not SHAPE_ALONE <= partial < SHAPE_ALONE + COLOR_ALONE,
        pattern=bool(rng.random() < (0.3 if is_patterned else 0.05)),
        stuff=bool(rng.random() < (0.2 if is_alone else 0.7)),
    )


def content_of(scene, mention):
    """The content in a fixed wording, such as "red circle" or "striped blue star + grass"."""
    things = {_words(thing, mention, _first) for thing in scene.main_things}
    return " + ".join([*sorted(things), *sorted(_stuff_names(scene, mention, _first))])


def captions_of(rng, scene, mention):
    """`NUM_CAPTIONS` captions of a scene, without repetitions where wording allows."""
    captions = []
    for _ in range(4 * NUM_CAPTIONS):
        caption = _caption(rng, scene, mention)
        if caption not in captions:
            captions.append(caption)
        if len(captions) == NUM_CAPTIONS:
            break
    return captions


def _caption(rng, scene, mention):
    def word(words):
        canonical = len(words) == 1 or rng.random() < CANONICAL_SHARE
        return words[0] if canonical else words[rng.integers(1, len(words))]

    size = _size_word(rng, scene)
    unique = {_words(t, mention, _first): t for t in scene.main_things}.values()
    things = [_with_article(size + _words(t, mention, word)) for t in unique]
    stuff = _stuff_names(scene, mention, word)
    if not things:
        return _pick(rng, _STUFF_ONLY).format(" and ".join(stuff))
    if len(things) == 1 and len(stuff) <= 1:
        text = _pick(rng, _ON).format(things[0], stuff[0]) if stuff else things[0]
        return _pick(rng, _ONE).format(text)
    if len(things) == 2 and len(stuff) <= 1:
        text = _pick(rng, _TWO).format(*(things if rng.random() < 0.5 else things[::-1]))
        return _pick(rng, _ON).format(text, stuff[0]) if stuff else text
    parts = [*things, *stuff]
    order = rng.permutation(len(parts))
    parts = [parts[i] for i in order]
    text = ", ".join(parts[:-1]) + f" and {parts[-1]}"
    return _pick(rng, _SCENE).format(text)


def _words(thing, mention, word):
    """Adjectives and noun of a thing; ``word`` picks one of several words."""
    c = CLASSES[thing.class_id]
    words = []
    if mention.pattern and thing.pattern in PATTERNS and thing.pattern != "plain":
        words.append(word((thing.pattern, *PATTERNS[thing.pattern])))
    elif mention.pattern and mention.color and mention.shape:
        words.append("plain")
    if mention.color:
        words.append(word((c.color, *COLORS[c.color])))
    words.append(word((c.shape, *SHAPES[c.shape])) if mention.shape else word(("thing", "object")))
    return " ".join(words)


def _stuff_names(scene, mention, word):
    if scene.things and not mention.stuff:
        return []
    names = dict.fromkeys(CLASSES[i].name for i in scene.stuff)
    return [word((name, *STUFF[name])) for name in names]


def _size_word(rng, scene):
    """Now and then the size of a lone thing, as in the prompts of ViLD."""
    if len(scene.main_things) != 1 or rng.random() > 0.2:
        return ""
    share = 2 * scene.main_things[0].radius / min(scene.height, scene.width)
    return "small " if share < 0.42 else "large " if share > 0.7 else "medium "


def _with_article(words):
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _first(words):
    return words[0]


def _pick(rng, templates):
    return templates[rng.integers(len(templates))]
