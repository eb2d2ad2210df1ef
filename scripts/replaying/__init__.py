"""Runs a recorded boot again, offline, and says whether the agent did the same. One file, several runners, one verdict."""
