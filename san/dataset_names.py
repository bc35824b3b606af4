"""What the name of a data set says where it is the path of a file."""

import re
from pathlib import Path

_YAML = re.compile(r"(.+\.ya?ml)(?::([^/\\:]+))?", re.IGNORECASE)


def parse_yaml_name(name):
    """Split a data set name "own.yaml" or "own.yaml:train" -> (path, split), None if it is none."""
    match = _YAML.fullmatch(name)
    return match.groups() if match else None


def short_name(dataset_name):
    """The name itself; of a file, its stem and the split: "data/own.yaml:train" -> "own_train"."""
    if not dataset_name.endswith((".jsonl", ".json")) and not parse_yaml_name(dataset_name):
        return dataset_name
    path, split = parse_yaml_name(dataset_name) or (dataset_name, None)
    return f"{Path(path).stem}_{split}" if split else Path(path).stem
