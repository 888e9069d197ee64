// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Damages a text or a weights file by a seed and checks the parser's answer. For tests only.
#ifndef WATTLE_FORMATS_TESTING_MUTATION_INTERNAL_H_
#define WATTLE_FORMATS_TESTING_MUTATION_INTERNAL_H_

#include <cstdint>
#include <functional>
#include <iterator>
#include <random>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/utf8.h"

namespace wattle::formats {

struct MutationPlan {
  uint32_t seed = 0;
  int rounds = 0;
};

inline std::string Insert(const std::string& text, size_t at, const std::string& what) {
  return absl::StrCat(text.substr(0, at), what, text.substr(at));
}

// Returns `text` with one to three mutations. A mutation flips a bit, replaces a byte by a
// character of the format's syntax, removes, repeats or moves a stretch, cuts off the end, or makes
// a number huge or negative.
inline std::string Mutate(std::string text, std::mt19937& random) {
  static constexpr char kMeaning[] = "{}[]\":,.-+eE0123456789 \n\t\\#&*!|>%@`'\xff\xc3\x80";
  const auto below = [&](size_t limit) { return limit == 0 ? 0 : random() % limit; };
  const size_t damages = 1 + below(3);
  for (size_t i = 0; i < damages && !text.empty(); ++i) {
    const size_t at = below(text.size());
    const size_t length = 1 + below(8);
    switch (below(8)) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        text[at] = kMeaning[below(sizeof(kMeaning))];
        break;
      case 2:
        text = Insert(text, at, std::string(1, kMeaning[below(sizeof(kMeaning))]));
        break;
      case 3:
        text.erase(at, length);
        break;
      case 4:
        text = Insert(text, at, text.substr(below(text.size()), length));
        break;
      case 5:
        text.resize(at);
        break;
      case 6:
        text = Insert(text, at, "99999999999999999999");
        break;
      default:
        text = Insert(text, at, "-");
        break;
    }
  }
  return text;
}

// A safetensors file with another header and its correct length, so that only the header's meaning
// is damaged.
inline std::string WithHeader(const std::string& file, size_t old_header_bytes,
                              const std::string& header) {
  std::string length(8, '\0');
  for (size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<char>(header.size() >> (8 * i));
  }
  return length + header + file.substr(length.size() + old_header_bytes);
}

// A valid safetensors file, damaged anywhere, at its end, or in its header.
inline std::string MutateSafetensors(const std::string& file, std::mt19937& random) {
  constexpr size_t kLengthBytes = 8;
  size_t header_bytes = 0;
  for (size_t i = kLengthBytes; i > 0; --i) {
    header_bytes = header_bytes << 8 | static_cast<unsigned char>(file[i - 1]);
  }
  switch (random() % 4) {
    case 0:  // most often in the data
      return Mutate(file, random);
    case 1: {  // the end is missing, or extra bytes follow it
      std::string other = file;
      other.resize(random() % (2 * file.size()));
      return other;
    }
    default:
      return WithHeader(file, header_bytes,
                        Mutate(file.substr(kLengthBytes, header_bytes), random));
  }
}

// A valid GGUF file, damaged anywhere, in its header, or in a few numbers of the header, which keep
// their places: damage that only meaning can find.
inline std::string MutateGguf(const std::string& file, size_t header_bytes, std::mt19937& random) {
  constexpr uint64_t kNumbers[] = {
      0, 1, 2, 3, 7, 32, 255, 0x10000, 0x7fffffff, 0xffffffff, uint64_t{1} << 32, ~uint64_t{0}};
  switch (random() % 4) {
    case 0:
      return Mutate(file, random);
    case 1:
      return Mutate(file.substr(0, header_bytes), random) + file.substr(header_bytes);
    default:
      break;
  }
  std::string other = file;
  for (size_t damages = 1 + random() % 3; damages > 0; --damages) {
    const uint64_t number = kNumbers[random() % std::size(kNumbers)];
    const size_t width = size_t{1} << random() % 4;
    const size_t at = random() % header_bytes;
    for (size_t i = 0; i < width && at + i < header_bytes; ++i) {
      other[at + i] = static_cast<char>(number >> (8 * i));
    }
  }
  return other;
}

// Calls `parse` with mutated copies of `text`. An error of `parse` must be one line of printable
// UTF-8, and neither kInternal nor kUnknown.
inline void ForEachMutation(const std::string& text, const MutationPlan& plan,
                            const std::function<absl::Status(const std::string&)>& parse) {
  std::mt19937 random(plan.seed);
  for (int round = 0; round < plan.rounds; ++round) {
    const std::string mutant = Mutate(text, random);
    SCOPED_TRACE(absl::StrCat("seed ", plan.seed, ", round ", round, ": ", absl::CEscape(mutant)));
    const absl::Status status = parse(mutant);
    const std::string message(status.message());
    ASSERT_EQ(message.find('\n'), std::string::npos) << message;
    ASSERT_EQ(ValidUtf8Prefix(message), message.size()) << absl::CEscape(message);
    ASSERT_NE(status.code(), absl::StatusCode::kInternal) << message;
    ASSERT_NE(status.code(), absl::StatusCode::kUnknown) << message;
  }
}

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_TESTING_MUTATION_INTERNAL_H_
