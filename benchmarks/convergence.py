"""Time training on Gowalla to LightGCN's published figure: `finrec-dgl benchmark speed`.

python benchmarks/convergence.py --threads 2 --data gowalla=DATA/gowalla --out convergence.json
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "speed", "--only", "convergence", *sys.argv[1:]]))
