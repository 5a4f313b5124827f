"""Corrupt texts, labels and edges, and see what it costs: `finrec-dgl benchmark noise`.

python benchmarks/noise.py DATASET... --config winning.toml --out results
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "noise", *sys.argv[1:]]))
