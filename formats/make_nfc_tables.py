# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes nfc_tables_internal.h beside this file from the Unicode data of this Python (3.11: Unicode 14)."""

import pathlib
import sys
import unicodedata


def decompositions():
    """[code, first, second, composes]; second 0: a singleton. composes: NFC puts the pair together again."""
    for code in range(sys.maxunicode + 1):
        field = unicodedata.decomposition(chr(code))
        if not field or field.startswith("<"):
            continue
        parts = [int(part, 16) for part in field.split()]
        composes = len(parts) == 2 and unicodedata.normalize("NFC", "".join(map(chr, parts))) == chr(code)
        yield code, parts[0], parts[1] if len(parts) == 2 else 0, int(composes)


def classes():
    """[first, last, class] of the characters whose combining class is not 0."""
    ranges = []
    for code in range(sys.maxunicode + 1):
        value = unicodedata.combining(chr(code))
        if value and ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == value:
            ranges[-1][1] = code
        elif value:
            ranges.append([code, code, value])
    return ranges


def rows(values, per_line):
    cells = ["{" + ", ".join(hex(number) for number in value) + "}" for value in values]
    return "".join("    " + ", ".join(cells[i:i + per_line]) + ",\n" for i in range(0, len(cells), per_line))


def main():
    decomposed, combining = list(decompositions()), classes()
    text = f"""// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Unicode {unicodedata.unidata_version}: canonical decompositions and combining classes, both sorted. Made by
// make_nfc_tables.py; not to be edited. Private to formats.
#ifndef WATTLE_FORMATS_NFC_TABLES_INTERNAL_H_
#define WATTLE_FORMATS_NFC_TABLES_INTERNAL_H_

#include <cstdint>

namespace wattle::formats {{

struct NfcDecomposition {{
  uint32_t code;
  uint32_t first;
  uint32_t second;  // 0: `code` is another name of `first`
  uint32_t composes;  // 1: NFC writes the pair as `code`
}};

struct NfcClassRange {{
  uint32_t first;
  uint32_t last;
  uint32_t combining_class;
}};

// clang-format off
inline constexpr NfcDecomposition kNfcDecompositions[] = {{
{rows(decomposed, 5)}}};

inline constexpr NfcClassRange kNfcClasses[] = {{
{rows(combining, 6)}}};
// clang-format on

}}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_NFC_TABLES_INTERNAL_H_
"""
    (pathlib.Path(__file__).parent / "nfc_tables_internal.h").write_text(text)


if __name__ == "__main__":
    main()
