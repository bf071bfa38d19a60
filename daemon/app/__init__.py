"""Builds everything from the settings, starts it, stops it; nobody else does."""
