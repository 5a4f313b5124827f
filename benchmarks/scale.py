"""Generate, preprocess and train at 1 and 100 million interactions: `finrec-dgl benchmark speed`.

python benchmarks/scale.py --threads 2 --out scale.json
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "speed", "--only", "scale", *sys.argv[1:]]))
