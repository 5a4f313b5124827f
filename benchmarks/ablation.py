"""Take the hybrid and the paper's form apart: `finrec-dgl benchmark ablation`.

python benchmarks/ablation.py DATASET... --config winning.toml --out results --seeds 5
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "ablation", *sys.argv[1:]]))
