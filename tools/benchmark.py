#!/usr/bin/env python
"""The command ``san benchmark``, for a checkout that is not installed.

python tools/benchmark.py --image-size 320 640 --words 20 171 847
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from san.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
