#!/usr/bin/env python
"""Make the files of ADE20K with 847 classes that training and evaluation read.

python datasets/prepare_ade20k_847.py [--root DATASETS] [--archives DOWNLOADS]
"""

import sys

from san.commands.datasets import prepare_main

if __name__ == "__main__":
    sys.exit(prepare_main(["ade20k_847"]))
