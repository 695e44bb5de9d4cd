"""`python -m histoprompt.cli`."""

import sys

from histoprompt.cli import main

sys.exit(main())
