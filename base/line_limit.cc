// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/line_limit.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace wattle {
namespace {

std::string CauseOf(absl::string_view line) {
  std::vector<absl::string_view> words = absl::StrSplit(line.substr(0, line.find(": ")), ' ');
  for (absl::string_view& word : words) {
    if (std::any_of(word.begin(), word.end(), absl::ascii_isdigit)) {
      word = "#";
    }
  }
  return absl::StrJoin(words, " ");
}

std::string CountLine(absl::string_view cause, int left_out) {
  return absl::StrCat(cause, ": ", left_out, " more lines of this kind were left out");
}

}  // namespace

std::vector<std::string> LineLimit::TakeRest() {
  std::vector<std::string> lines;
  for (const auto& [cause, minute] : causes_) {
    if (minute.left_out > 0) {
      lines.push_back(CountLine(cause, minute.left_out));
    }
  }
  causes_.clear();
  return lines;
}

std::vector<std::string> LineLimit::Take(absl::string_view line, Monotonic now, std::string cause) {
  std::vector<std::string> lines;
  for (auto it = causes_.begin(); it != causes_.end();) {
    const auto& [known, minute] = *it;
    if (now - minute.begin < absl::Minutes(1)) {
      ++it;
      continue;
    }
    if (minute.left_out > 0) {
      lines.push_back(CountLine(known, minute.left_out));
    }
    it = causes_.erase(it);
  }
  if (cause.empty()) {
    cause = CauseOf(line);
  }
  if (causes_.size() >= kLogCausesMax && causes_.find(cause) == causes_.end()) {
    cause = "other causes";
  }
  Minute& minute = causes_.try_emplace(std::move(cause), Minute{.begin = now}).first->second;
  if (minute.written < kLinesAMinute) {
    ++minute.written;
    lines.emplace_back(line);
  } else {
    ++minute.left_out;
  }
  return lines;
}

}  // namespace wattle
