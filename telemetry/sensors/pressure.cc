// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/pressure.h"

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "telemetry/sensors/sysfs.h"

namespace wattle::telemetry {

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345", in microseconds. A kernel without PSI has
// the files and refuses the read.
std::optional<absl::Duration> StalledTime(const std::string& root, const std::string& resource,
                                          const std::string& kind) {
  const absl::StatusOr<std::string> text =
      ReadText(absl::StrCat(root, "/proc/pressure/", resource));
  if (!text.ok()) {
    return std::nullopt;
  }
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    int64_t microseconds = 0;
    if (words.size() > 1 && words.front() == kind && absl::StartsWith(words.back(), "total=") &&
        absl::SimpleAtoi(absl::StripPrefix(words.back(), "total="), &microseconds)) {
      return absl::Microseconds(microseconds);
    }
  }
  return std::nullopt;
}

}  // namespace wattle::telemetry
