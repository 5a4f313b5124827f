"""Try weights and kinds of pseudo-labels: `finrec-dgl benchmark pseudo`.

python benchmarks/pseudo.py DATASET... --config winning.toml --out results
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "pseudo", *sys.argv[1:]]))
