"""The Flask application: the wire, the artifacts, the pages."""
