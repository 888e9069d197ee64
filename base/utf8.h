// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// UTF-8 by RFC 3629. Thread-safe.
#ifndef WATTLE_BASE_UTF8_H_
#define WATTLE_BASE_UTF8_H_

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace wattle {

// The size in bytes of the character that `text` begins with: 1 to 4. 0 for empty text, and for
// bytes that form no character (overlong form, surrogate, above U+10FFFF, cut off).
inline size_t Utf8CharacterSize(absl::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) {
    return 0;
  }
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  const unsigned second = byte(1);
  const bool wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                     (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return wrong ? 0 : size;
}

// How many bytes from the start of `text` are whole characters.
inline size_t ValidUtf8Prefix(absl::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    const size_t size = Utf8CharacterSize(text.substr(position));
    if (size == 0) {
      break;
    }
    position += size;
  }
  return position;
}

// Spreadsheets begin a text file with U+FEFF.
inline absl::string_view WithoutByteOrderMark(absl::string_view text) {
  return absl::StripPrefix(text, "\xEF\xBB\xBF");
}

// Foreign bytes made safe for an error or a log line: whole characters without line ends and
// control characters, which could forge lines or control a terminal. A blank or '?' replaces them.
inline std::string OneLine(absl::string_view bytes) {
  std::string line;
  while (!bytes.empty()) {
    const size_t size = Utf8CharacterSize(bytes);
    if (size == 0) {
      line += '?';
    } else if (size == 1 && absl::ascii_iscntrl(static_cast<unsigned char>(bytes[0]))) {
      line += ' ';
    } else {
      line.append(bytes.data(), size);
    }
    bytes.remove_prefix(std::max<size_t>(size, 1));
  }
  return line;
}

}  // namespace wattle

#endif  // WATTLE_BASE_UTF8_H_
