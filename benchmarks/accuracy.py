"""Compare the hybrid with its other selves and the baselines: `finrec-dgl benchmark accuracy`.

python benchmarks/accuracy.py DATASET... --out results --seeds 5 --set epochs=30
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "accuracy", *sys.argv[1:]]))
