"""A made-up bank whose every cause of a purchase is known; see ``finrec_dgl.tables.generate``."""
