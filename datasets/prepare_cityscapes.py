#!/usr/bin/env python
"""Make the files of Cityscapes that training and evaluation read.

python datasets/prepare_cityscapes.py [--root DATASETS] [--archives DOWNLOADS]
"""

import sys

from san.commands.datasets import prepare_main

if __name__ == "__main__":
    sys.exit(prepare_main(["cityscapes"]))
