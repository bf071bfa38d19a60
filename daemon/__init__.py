"""Eventferry: carries API events to where their owner wants them, and loses none."""

__version__ = "0.3.0"
