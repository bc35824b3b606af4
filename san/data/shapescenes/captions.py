"""Describe a planned scene in words: several captions of one image, in varied wording.

All captions of an image speak of the same things and kinds of stuff, not always of all that are
there; what they speak of is its *content*. So images of one content are described by each other's
captions.
"""

from dataclasses import dataclass

from .classes import CLASSES, COLORS, PATTERNS, SHAPES, STUFF

NUM_CAPTIONS = 4
CANONICAL_SHARE = 0.55  # how often a word is the class name's own, and not a synonym
STUFF_ALONE = 0.2  # how often captions of things speak of the stuff around them, and not of them
# How often they speak of each of the main things, and of each kind of stuff, otherwise
THING_SHARE, STUFF_SHARE = 0.75, 0.25
# How often a lone thing is named by its shape alone ("a star"), and by its color alone
SHAPE_ALONE, COLOR_ALONE = 0.65, 0.05
_ONE = (
    "{}", "{}", "a photo of {}", "this is a photo of {}", "there is {} in the scene",
    "one can see {}", "here is {}", "a picture of {}", "an image of {}",
    "a photo of {} in the scene",
)  # fmt: skip
_ON = ("{} on the {}", "{} on {}", "{} in front of the {}", "{}, with {} around it", "{} over {}")
_STUFF = (
    "{}", "a photo of {}", "this is a photo of the {}", "a close-up of the {}",
    "there is the {} in the scene", "a patch of {}",
)  # fmt: skip
_STUFF_ONLY = (*_STUFF, "nothing but {}", "only {} to be seen")
_TWO = ("{} and {}", "{} next to {}", "{} with {}", "{} beside {}")
_SCENE = ("a scene with {}", "{}", "a photo of {}", "this shows {}", "there is {} in the scene")


@dataclass(frozen=True)
class Mention:
    """What the captions of an image speak of.

    Attributes:
        things (tuple[Thing, ...]): of the main things.
        stuff (tuple[int, ...]): class ids, each once.
        color, shape, pattern: of the things; at least one of color and shape.
    """

    things: tuple = ()
    stuff: tuple[int, ...] = ()
    color: bool = True
    shape: bool = True
    pattern: bool = False


def choose_mention(rng, scene):
    """Choose what the captions of a scene speak of: some of what is there, never nothing.

    That some speak of the stuff around a thing alone is what keeps CLIP from telling the thing from
    patches of the stuff. That some name the shape alone is how people speak, and what makes CLIP
    learn shapes: pairs that color or stuff tell apart teach it nothing more.

    Args:
        rng (np.random.Generator).
        scene (Scene): with a main thing or stuff.
    Returns:
        Mention
    """
    kinds = tuple(dict.fromkeys(scene.stuff))
    if not scene.main_things or (kinds and rng.random() < STUFF_ALONE):
        return Mention(stuff=kinds)
    things = ()
    while not things:
        things = tuple(t for t in scene.main_things if rng.random() < THING_SHARE)
    stuff = tuple(i for i in kinds if rng.random() < STUFF_SHARE)
    partial = rng.random() if len(things) == 1 else 1.0
    is_patterned = any(thing.pattern != "plain" for thing in things)
    return Mention(
        things,
        stuff,
        color=partial >= SHAPE_ALONE,
        shape=not SHAPE_ALONE <= partial < SHAPE_ALONE + COLOR_ALONE,
        pattern=bool(rng.random() < (0.3 if is_patterned else 0.05)),
    )


def content_of(mention):
    """The content in a fixed wording, such as "red circle" or "striped blue star + grass"."""
    things = {_words(thing, mention, _first) for thing in mention.things}
    return " + ".join([*sorted(things), *sorted(_stuff_names(mention, _first))])


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

    size = _size_word(rng, scene, mention)
    unique = {_words(t, mention, _first): t for t in mention.things}.values()
    things = [_with_article(size + _words(t, mention, word)) for t in unique]
    stuff = _stuff_names(mention, word)
    if not things:
        is_all = not scene.things and len(stuff) == len(set(scene.stuff))
        return _pick(rng, _STUFF_ONLY if is_all else _STUFF).format(" and ".join(stuff))
    is_plain = not stuff or len(set(scene.stuff)) == 1  # what is named lies on the stuff
    if len(things) == 1 and is_plain:
        text = _pick(rng, _ON).format(things[0], stuff[0]) if stuff else things[0]
        return _pick(rng, _ONE).format(text)
    if len(things) == 2 and is_plain:
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


def _stuff_names(mention, word):
    names = [CLASSES[i].name for i in mention.stuff]
    return [word((name, *STUFF[name])) for name in names]


def _size_word(rng, scene, mention):
    """Now and then the size of a lone thing, as in the prompts of ViLD."""
    if len(mention.things) != 1 or rng.random() > 0.2:
        return ""
    share = 2 * mention.things[0].radius / min(scene.height, scene.width)
    return "small " if share < 0.42 else "large " if share > 0.7 else "medium "


def _with_article(words):
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _first(words):
    return words[0]


def _pick(rng, templates):
    return templates[rng.integers(len(templates))]
