"""How any value of an event becomes text that is safe to show."""

from collections.abc import Iterator, Mapping

from daemon.expression import READ, clean, cut

_DEEPEST = 4


def plain(value: object, limit: int = 1000) -> str:
    """Any JSON value as clean text of at most `limit` characters; nothing for null."""
    if value is None:
        return ""
    text = ""
    for piece in _pieces(value, _DEEPEST):
        text += piece
        if len(text) >= READ:
            break
    return cut(clean(text), limit)


def _pieces(value: object, depth: int) -> Iterator[str]:
    match value:
        case None:
            yield "none"
        case str():
            yield value
        case bool():
            yield "yes" if value else "no"
        case int():
            yield str(value) if value.bit_length() < 2048 else "(a very long number)"
        case Mapping() | list() | tuple() if depth == 0:
            yield "…"
        case Mapping():
            for number, (name, inner) in enumerate(value.items()):
                yield f"{', ' if number else '{'}{name}: "
                yield from _pieces(inner, depth - 1)
            yield "}" if value else "{}"
        case list() | tuple():
            for number, inner in enumerate(value):
                yield ", " if number else "["
                yield from _pieces(inner, depth - 1)
            yield "]" if value else "[]"
        case _:
            yield str(value)
