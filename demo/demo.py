"""Segment images by your own words: the command ``san segment``.

python demo/demo.py --input demo/images --vocabulary demo/renamed.yaml --output output/demo
python demo/demo.py --input photo.jpg --vocabulary cat "sofa|couch" --output output/photo
"""

import sys

from san.cli import main

if __name__ == "__main__":
    sys.exit(main(["segment", *sys.argv[1:]]))
