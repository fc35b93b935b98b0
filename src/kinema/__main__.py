"""`python -m kinema`, for where the command is not on the path."""

import sys

from kinema.cli import main

sys.exit(main())
