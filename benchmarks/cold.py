"""Compare models on products or customers held out altogether: `finrec-dgl benchmark cold`.

python benchmarks/cold.py DATASET... --config winning.toml --out results --seeds 5
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "cold", *sys.argv[1:]]))
