"""A server's folder in one file, and back."""
