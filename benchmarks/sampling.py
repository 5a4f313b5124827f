"""Time batches without their seed edges beside DGL's loader: `finrec-dgl benchmark speed`.

python benchmarks/sampling.py --threads 2 --data gowalla=FOLDER --out sampling.json
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "speed", "--only", "sampling", *sys.argv[1:]]))
