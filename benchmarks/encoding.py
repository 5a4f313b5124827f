"""Time text encoding beside sentence-transformers: `finrec-dgl benchmark speed`.

python benchmarks/encoding.py --data stocknet=FOLDER --threads 2 --out encoding.json
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "speed", "--only", "encoding", *sys.argv[1:]]))
