#!/usr/bin/env python
"""Make the files of PASCAL VOC 2012 that training and evaluation read: 20, 21 and 20b classes.

python datasets/prepare_voc.py [--root DATASETS] [--archives DOWNLOADS]
"""

import sys

from san.commands.datasets import prepare_main

if __name__ == "__main__":
    sys.exit(prepare_main(["voc_20", "voc_21", "voc_20b"]))
