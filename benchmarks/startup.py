"""Time how long the command line takes to answer: `finrec-dgl benchmark speed`.

python benchmarks/startup.py --threads 2 --data fartrans=FOLDER --out startup.json
"""

from __future__ import annotations

import sys

from finrec_dgl.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", "speed", "--only", "startup", *sys.argv[1:]]))
