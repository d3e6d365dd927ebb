"""Importing this lets the scripts of this folder import the modules of the one above."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
