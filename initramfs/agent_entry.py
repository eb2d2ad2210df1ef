"""What the frozen program starts: the agent. Lies outside the package, whose folder would otherwise come first on the path."""

from bootpilot_agent.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main())
