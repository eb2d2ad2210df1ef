"""What people and other tools make of a boot's recording: a time line, HAR."""
