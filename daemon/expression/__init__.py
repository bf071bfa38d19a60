"""Templates that people write into the config; event data is never read as one."""

from daemon.expression.sandbox import RenderFailed
from daemon.expression.template import LONGEST_RESULT, Template

__all__ = ["LONGEST_RESULT", "RenderFailed", "Template"]
