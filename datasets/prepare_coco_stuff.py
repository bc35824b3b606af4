#!/usr/bin/env python
"""Make the label maps of COCO-Stuff that training and evaluation read.

python datasets/prepare_coco_stuff.py [--root DATASETS]
"""

import sys

from san.data.prepare.coco_stuff import main

if __name__ == "__main__":
    sys.exit(main())
