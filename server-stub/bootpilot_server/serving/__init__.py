"""gunicorn, sockets, certificates: how the application is run."""
