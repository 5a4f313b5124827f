"""Runs the command line as ``python -m finrec_dgl.cli``."""

import sys

from finrec_dgl.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
