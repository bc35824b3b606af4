"""Draw the demo's scenes, their truth and its vocabularies.

    python demo/make_scenes.py [FOLDER]

Scenes are of ShapeScenes' making but in none of its splits. The label maps hold class ids, the
positions in `san.data.shapescenes.classes.CLASSES`.

    images/seen, truth/seen        scenes of classes whose masks the shipped SAN was trained on
    images/unseen, truth/unseen    scenes of classes of which it has seen no mask
    seen.yaml, unseen.yaml         vocabularies of these
    renamed.yaml                   all classes under other names
"""

import argparse
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from san.data.shapescenes.classes import CLASSES
from san.data.shapescenes.label_sets import LABEL_SETS
from san.data.shapescenes.render import render
from san.data.shapescenes.scene import plan_scene, pool_of
from san.data.shapescenes.writer import to_labels

STREAM = 2302_12242  # random numbers that no split uses
POOLS = {"seen": pool_of(lambda c: c.seen), "unseen": pool_of(lambda c: not c.seen)}
CHOSEN = {"seen": (3, 10, 12), "unseen": (4, 5, 12)}
MAX_SIDE = 384


def draw(folder, group, index):
    """Draw and write one scene and its label map."""
    rng = np.random.default_rng((STREAM, list(POOLS).index(group), index, 0))
    seed = (STREAM, list(POOLS).index(group), index, 1)
    scene = plan_scene(rng, POOLS[group], seed, max_side=MAX_SIDE)
    image, elements = render(scene)
    labels = to_labels(scene, elements, LABEL_SETS["val"])
    for kind, array, ending in (("images", image, "jpg"), ("truth", labels, "png")):
        path = folder / kind / group / f"{group}_{CHOSEN[group].index(index) + 1}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path, quality=92)


def write_vocabulary(path, entries, title):
    """Write {class id: name} as a vocabulary file."""
    classes = [{"name": name, "id": class_id} for class_id, name in entries.items()]
    text = yaml.safe_dump({"classes": classes}, sort_keys=False, default_flow_style=None)
    path.write_text(f"# {title}\n{text}", encoding="utf-8")


def main(folder):
    """Draw everything below a folder."""
    for group, indices in CHOSEN.items():
        for index in indices:
            draw(folder, group, index)
    names = {class_id: c.name for class_id, c in enumerate(CLASSES)}
    seen = {i: name for i, name in names.items() if CLASSES[i].seen}
    unseen = {i: name for i, name in names.items() if not CLASSES[i].seen}
    renamed = dict(enumerate(LABEL_SETS["synonyms_val"].names))
    write_vocabulary(folder / "seen.yaml", seen, "Classes whose masks training showed.")
    write_vocabulary(folder / "unseen.yaml", unseen, "Classes of which training showed no mask.")
    write_vocabulary(folder / "renamed.yaml", renamed, "All classes under other names.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    main(parser.parse_args().folder)
