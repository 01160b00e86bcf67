"""`python -m unetscope`: the command line, for torchrun and machines where scripts are not on the path."""

from __future__ import annotations

import sys

from unetscope.cli import main

if __name__ == "__main__":
    sys.exit(main())
