"""What every other folder stands on: errors, files, configuration, progress, units."""
