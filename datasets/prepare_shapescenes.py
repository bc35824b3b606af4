#!/usr/bin/env python
"""Make ShapeScenes, the data set that the project draws itself: minutes, and no download.

python datasets/prepare_shapescenes.py [--root DATASETS] [--seed 0] [--scale 1.0] [--num-workers N]
"""

import sys

from san.data.shapescenes.prepare import main

if __name__ == "__main__":
    sys.exit(main())
