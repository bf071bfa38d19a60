"""How the schema came to be what `daemon/tables.py` says, one revision a step."""
