// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "base/utf8.h"
#include "formats/nfc_internal.h"
#include "formats/nfc_tables_internal.h"

namespace wattle::formats {
namespace {

// Characters below U+0300 are their own normal form and never combine with a preceding character.
// No byte of their UTF-8 is as large as this one.
constexpr unsigned char kFirstCombiningByte = 0xcc;

// Hangul syllables are computed (the Unicode Standard, 3.12).
constexpr uint32_t kSyllables = 0xac00;
constexpr uint32_t kLeads = 0x1100;
constexpr uint32_t kVowels = 0x1161;
constexpr uint32_t kTrails = 0x11a7;  // one before the first trailing consonant; index 0: none
constexpr uint32_t kLeadCount = 19;
constexpr uint32_t kVowelCount = 21;
constexpr uint32_t kTrailCount = 28;
constexpr uint32_t kSyllableCount = kLeadCount * kVowelCount * kTrailCount;

// The first character of valid UTF-8.
uint32_t CodeOf(absl::string_view character) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(character[i]));
  };
  switch (character.size()) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1f) << 6 | (byte(1) & 0x3f);
    case 3:
      return (byte(0) & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    default:
      return (byte(0) & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 |
             (byte(3) & 0x3f);
  }
}

void AppendUtf8(uint32_t code, std::string& out) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

uint32_t CombiningClass(uint32_t code) {
  const auto* range = std::lower_bound(
      std::begin(kNfcClasses), std::end(kNfcClasses), code,
      [](const NfcClassRange& each, uint32_t wanted) { return each.last < wanted; });
  return range != std::end(kNfcClasses) && range->first <= code ? range->combining_class : 0;
}

void AppendDecomposed(uint32_t code, std::vector<uint32_t>& out) {
  if (code >= kSyllables && code < kSyllables + kSyllableCount) {
    const uint32_t index = code - kSyllables;
    out.push_back(kLeads + index / (kVowelCount * kTrailCount));
    out.push_back(kVowels + index % (kVowelCount * kTrailCount) / kTrailCount);
    if (index % kTrailCount != 0) {
      out.push_back(kTrails + index % kTrailCount);
    }
    return;
  }
  const auto* entry = std::lower_bound(
      std::begin(kNfcDecompositions), std::end(kNfcDecompositions), code,
      [](const NfcDecomposition& each, uint32_t wanted) { return each.code < wanted; });
  if (entry == std::end(kNfcDecompositions) || entry->code != code) {
    out.push_back(code);
    return;
  }
  AppendDecomposed(entry->first, out);
  if (entry->second != 0) {
    AppendDecomposed(entry->second, out);
  }
}

// The composition of the two characters; 0: none.
uint32_t Composed(uint32_t first, uint32_t second) {
  static const auto& pairs = *[] {
    auto* map = new absl::flat_hash_map<uint64_t, uint32_t>();
    for (const NfcDecomposition& entry : kNfcDecompositions) {
      if (entry.composes != 0) {
        map->emplace(static_cast<uint64_t>(entry.first) << 32 | entry.second, entry.code);
      }
    }
    return map;
  }();
  if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels &&
      second < kVowels + kVowelCount) {
    return kSyllables + ((first - kLeads) * kVowelCount + second - kVowels) * kTrailCount;
  }
  if (first >= kSyllables && first < kSyllables + kSyllableCount &&
      (first - kSyllables) % kTrailCount == 0 && second > kTrails &&
      second < kTrails + kTrailCount) {
    return first + second - kTrails;
  }
  const auto found = pairs.find(static_cast<uint64_t>(first) << 32 | second);
  return found == pairs.end() ? 0 : found->second;
}

// Sorts combining characters by their classes.
void Order(std::vector<uint32_t>& codes) {
  for (auto begin = codes.begin(); begin != codes.end();) {
    if (CombiningClass(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, codes.end(), [](uint32_t code) { return CombiningClass(code) == 0; });
    std::stable_sort(begin, end,
                     [](uint32_t a, uint32_t b) { return CombiningClass(a) < CombiningClass(b); });
    begin = end;
  }
}

std::string ComposedText(const std::vector<uint32_t>& codes) {
  std::vector<uint32_t> out;
  constexpr size_t kNone = static_cast<size_t>(-1);
  size_t starter = kNone;   // position in `out` of the last character of class 0
  uint32_t last_class = 0;  // class of the last character after it
  for (const uint32_t code : codes) {
    const uint32_t own_class = CombiningClass(code);
    const bool adjacent = starter != kNone && starter + 1 == out.size();
    const bool reaches =
        starter != kNone && (adjacent || (last_class != 0 && last_class < own_class));
    const uint32_t composed = reaches ? Composed(out[starter], code) : 0;
    if (composed != 0) {
      out[starter] = composed;
      continue;
    }
    if (own_class == 0) {
      starter = out.size();
    }
    last_class = own_class;
    out.push_back(code);
  }
  std::string text;
  for (const uint32_t code : out) {
    AppendUtf8(code, text);
  }
  return text;
}

std::string NormalizedValid(absl::string_view text) {
  std::vector<uint32_t> codes;
  for (absl::string_view rest = text; !rest.empty();) {
    const size_t size = Utf8CharacterSize(rest);
    AppendDecomposed(CodeOf(rest.substr(0, size)), codes);
    rest.remove_prefix(size);
  }
  Order(codes);
  return ComposedText(codes);
}

}  // namespace

std::string NormalizedToNfc(absl::string_view text) {
  if (std::none_of(text.begin(), text.end(), [](char byte) {
        return static_cast<unsigned char>(byte) >= kFirstCombiningByte;
      })) {
    return std::string(text);
  }
  std::string normalized;
  while (!text.empty()) {
    const size_t valid = ValidUtf8Prefix(text);
    normalized += NormalizedValid(text.substr(0, valid));
    text.remove_prefix(valid);
    while (!text.empty() && Utf8CharacterSize(text) == 0) {
      normalized += text.front();
      text.remove_prefix(1);
    }
  }
  return normalized;
}

}  // namespace wattle::formats
