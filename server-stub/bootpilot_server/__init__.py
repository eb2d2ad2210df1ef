"""The Bootpilot boot server: hears who a board is, decides what it boots, and tells a person why."""
