#!/usr/bin/env python
"""Make the files of COCO-Object that training and evaluation read.

python datasets/prepare_coco_object.py [--root DATASETS] [--archives DOWNLOADS]
"""

import sys

from san.commands.datasets import prepare_main

if __name__ == "__main__":
    sys.exit(prepare_main(["coco_object"]))
