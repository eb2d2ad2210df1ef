"""Compares the agent with a busybox script that does the same, in the same guest, alternating. Called by scripts/bench."""
