"""What names in a graph look like."""

import re

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.>-]{0,127}")
