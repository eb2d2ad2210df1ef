"""`python -m bootpilot_server` is the command `bootpilot`."""

import sys

from bootpilot_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
