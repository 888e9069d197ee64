# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Texts and models that the repository may not hold: in the folder that WATTLE_TEXTS names (bench/data/README.md)."""

import os
import pathlib
import sys

FOLDER = pathlib.Path(os.environ.get("WATTLE_TEXTS", "$WATTLE_TEXTS"))  # Where the variable is not set, its name stands in messages.
ABSENT = 3  # Exit status of a bench that lacks what it needs.


def need(*paths):
    """Ends the bench with one line if one of the paths is absent."""
    absent = [str(path) for path in paths if not path.exists()]
    if absent:
        print(f"skipped: {', '.join(absent)}: absent; bench/data/README.md lists the texts that the folder WATTLE_TEXTS has", file=sys.stderr)
        sys.exit(ABSENT)
