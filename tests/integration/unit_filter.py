# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The system calls that a unit of deploy/systemd leaves to its service, as systemd applies them: what is not in SystemCallFilter answers EPERM.

`unit_filter.py UNIT PROGRAM ...` runs a program so.
"""

import ctypes
import os
import pathlib
import re
import subprocess
import sys

ALLOW, EPERM = 0x7FFF0000, 0x00050001  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(1)
PR_SET_NO_NEW_PRIVS = 38


def calls_of(word):
    """The calls of "@resources" with the groups in it, or the one call."""
    if not word.startswith("@"):
        return {word}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    words = [line.strip() for line in listed]
    return set().union(*(calls_of(member) for member in words if member and not member.startswith("#")))


def allowed_calls(unit):
    """The filter in the text of a unit. systemd allows @default to every service."""
    calls = calls_of("@default")
    for value in re.findall(r"(?m)^SystemCallFilter=(.*)$", unit):
        named = set().union(*(calls_of(word) for word in value.removeprefix("~").split()))
        calls = calls - named if value.startswith("~") else calls | named
    return calls


def enter(calls):
    """In a child before exec, as its preexec_fn: from here on nothing but these calls."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(EPERM))
    for call in calls:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # This processor has it.
            library.seccomp_rule_add(context, ALLOW, number, 0)
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if library.seccomp_load(context) != 0:
        raise OSError("seccomp refuses the filter of the unit")


if __name__ == "__main__":
    enter(allowed_calls(pathlib.Path(sys.argv[1]).read_text()))
    os.execv(sys.argv[2], sys.argv[2:])
