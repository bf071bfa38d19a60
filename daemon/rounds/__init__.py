"""What the daemon does: one verb a file, each one round of work."""
