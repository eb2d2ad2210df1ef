"""The authority stands in scripts/lab/, where the fault matrix uses it too; tests find it here."""

from scripts.lab.certificates import Certificates

__all__ = ["Certificates"]
