"""The command line: one thin file a command, heavy imports inside the commands only."""

from finrec_dgl.cli.app import main

__all__ = ["main"]
