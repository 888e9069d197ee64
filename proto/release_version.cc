// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/release_version.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace wattle {
namespace {

constexpr size_t kTextMax = 40;
constexpr int64_t kOlderMinors = 2;
constexpr int64_t kNewerMinors = 1;

// A number without sign, spaces or leading zeros.
std::optional<int64_t> ParseNumber(absl::string_view text) {
  int64_t number = 0;
  const bool digits = !text.empty() && text.size() < 10 &&
                      std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
                      (text.size() == 1 || text[0] != '0');
  return digits && absl::SimpleAtoi(text, &number) ? std::optional<int64_t>(number) : std::nullopt;
}

// The order of semver.org: numbers by value and before words, words alphabetically.
bool IsOlderPart(absl::string_view a, absl::string_view b) {
  const std::optional<int64_t> number_a = ParseNumber(a);
  const std::optional<int64_t> number_b = ParseNumber(b);
  if (number_a.has_value() && number_b.has_value()) {
    return *number_a < *number_b;
  }
  return number_a.has_value() != number_b.has_value() ? number_a.has_value() : a < b;
}

bool IsOlderCandidate(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) {
    return !a.empty() && b.empty();
  }
  const std::vector<absl::string_view> parts_a = absl::StrSplit(a, '.');
  const std::vector<absl::string_view> parts_b = absl::StrSplit(b, '.');
  return std::lexicographical_compare(parts_a.begin(), parts_a.end(), parts_b.begin(),
                                      parts_b.end(), IsOlderPart);
}

}  // namespace

std::optional<ReleaseVersion> ParseReleaseVersion(absl::string_view text) {
  if (text.size() > kTextMax) {
    return std::nullopt;
  }
  ReleaseVersion version;
  const size_t dash = text.find('-');
  if (dash != absl::string_view::npos) {
    version.candidate = std::string(text.substr(dash + 1));
    for (const absl::string_view part : absl::StrSplit(version.candidate, '.')) {
      if (part.empty() || !std::all_of(part.begin(), part.end(), absl::ascii_isalnum)) {
        return std::nullopt;
      }
    }
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(text.substr(0, dash), '.');
  if (parts.size() != version.numbers.size()) {
    return std::nullopt;
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::optional<int64_t> number = ParseNumber(parts[i]);
    if (!number.has_value()) {
      return std::nullopt;
    }
    version.numbers[i] = *number;
  }
  return version;
}

bool IsOlderRelease(const ReleaseVersion& a, const ReleaseVersion& b) {
  return a.numbers != b.numbers ? a.numbers < b.numbers
                                : IsOlderCandidate(a.candidate, b.candidate);
}

bool IsServedBy(const ReleaseVersion& worker, const ReleaseVersion& coordinator) {
  return worker.numbers[0] == coordinator.numbers[0] &&
         worker.numbers[1] >= coordinator.numbers[1] - kOlderMinors &&
         worker.numbers[1] <= coordinator.numbers[1] + kNewerMinors;
}

}  // namespace wattle
