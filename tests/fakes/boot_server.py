"""The scripted boot server stands in scripts/lab/, where the fault matrix uses it too; tests find it here."""

from scripts.lab.scripted_boot_server import JSON_TYPE, NODE_ID, TOKEN, FakeBootServer, problem

__all__ = ["JSON_TYPE", "NODE_ID", "TOKEN", "FakeBootServer", "problem"]
