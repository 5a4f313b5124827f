"""Time attention over edges beside stock DGL and PyG: `finrec-dgl benchmark speed`.

python benchmarks/messages.py --threads 2 --out messages.json
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "speed", "--only", "messages", *sys.argv[1:]]))
