"""Templates that people write into the config, and how text is made safe; event data is never read as a template."""

from daemon.expression.config_text import ConfigText
from daemon.expression.markup import markup_to_markdown, markup_to_text
from daemon.expression.readable import Locale, amount_of, local, moment_of, money_text, stars_text
from daemon.expression.sandbox import RenderFailed
from daemon.expression.template import LONGEST_RESULT, HtmlTemplate, MarkdownTemplate, TextTemplate
from daemon.expression.text import READ, clean, cut, cut_markdown, https_link, markdown, one_line, units

__all__ = [
    "LONGEST_RESULT",
    "READ",
    "ConfigText",
    "HtmlTemplate",
    "Locale",
    "MarkdownTemplate",
    "RenderFailed",
    "TextTemplate",
    "amount_of",
    "clean",
    "cut",
    "cut_markdown",
    "https_link",
    "local",
    "markdown",
    "markup_to_markdown",
    "markup_to_text",
    "moment_of",
    "money_text",
    "one_line",
    "stars_text",
    "units",
]
