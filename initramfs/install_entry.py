"""What the frozen program starts: the installer. As agent_entry.py, outside the package."""

from bootpilot_install.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main())
