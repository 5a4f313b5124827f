"""Time a full ranking beside RecBole's way and a plain loop: `finrec-dgl benchmark speed`.

python benchmarks/ranking.py --data gowalla=DATA/gowalla --threads 2 --out ranking.json
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "speed", "--only", "ranking", *sys.argv[1:]]))
