"""The scripted server stands in scripts/lab/, where the fault matrix uses it too; tests find it here."""

from scripts.lab.scripted_server import Answer, Reply, Request, ScriptedServer, wait_until

__all__ = ["Answer", "Reply", "Request", "ScriptedServer", "wait_until"]
