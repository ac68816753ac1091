"""`python -m langarith` is the command `langarith`."""

import sys

from langarith.cli import main

sys.exit(main())
