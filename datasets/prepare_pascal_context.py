#!/usr/bin/env python
"""Make the files of PASCAL Context that training and evaluation read: 59, 60 and 459 classes.

python datasets/prepare_pascal_context.py [--root DATASETS] [--archives DOWNLOADS]
"""

import sys

from san.commands.datasets import prepare_main

if __name__ == "__main__":
    sys.exit(prepare_main(["pascal_context_59", "pascal_context_60", "pascal_context_459"]))
