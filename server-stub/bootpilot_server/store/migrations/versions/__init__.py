"""Each revision as it was: what a table looks like today is in schema.py."""
