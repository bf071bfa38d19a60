"""Under which names `meta` holds what is known of a sink; a sink that is renamed takes all of it along."""


def window_name(sink: str) -> str:
    """How many messages went out since the first of a burst."""
    return f"burst of {sink}"


def reported_name(sink: str) -> str:
    """Up to when its reports were made."""
    return f"reported:{sink}"


FACTS = (window_name, reported_name)
