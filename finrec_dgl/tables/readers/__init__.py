"""One module a source: each has ``fits(folder)`` and ``read(folder, options)``."""
