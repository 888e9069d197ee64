# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""A bug that tests/planted_bugs.py puts into a copy of the tree."""

from typing import NamedTuple


class Bug(NamedTuple):
    name: str
    path: str
    right: str  # the text that is replaced, once in its file
    wrong: str
    target: str  # a test of GoogleTest; empty: the programs, for a test of tests/integration
    tests: str  # of which at least one must fail
    also: tuple = ()  # further edits (path, right, wrong), if a second guard also holds

    def edits(self):
        return ((self.path, self.right, self.wrong), *self.also)
