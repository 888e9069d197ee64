// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/attempt_logs.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace wattle::runtime {

void AttemptLogs::Add(const v1::AttemptLog& log) {
  NumberedLine numbered;
  numbered.line.set_at_unix_seconds(log.at_unix_seconds());
  numbered.line.set_attempt_id(log.attempt_id());
  numbered.line.set_text(log.text().substr(0, kLineBytesMax));
  absl::MutexLock lock(&mutex_);
  numbered.number = next_number_++;
  std::deque<NumberedLine>& lines = by_attempt_[log.attempt_id()];
  lines.push_back(std::move(numbered));
  if (lines.size() > kLinesPerAttemptMax) {
    lines.pop_front();
  }
  if (by_attempt_.size() > kAttemptsMax) {
    by_attempt_.erase(
        std::min_element(by_attempt_.begin(), by_attempt_.end(), [](const auto& a, const auto& b) {
          return a.second.back().number < b.second.back().number;
        }));
  }
}

AttemptLogs::Lines AttemptLogs::Read(absl::string_view job_id, int64_t from,
                                     size_t lines_max) const {
  const std::string prefix = absl::StrCat(job_id, ".");  // Attempts of j12 are j12.1, j12.2 …
  std::vector<const NumberedLine*> found;
  Lines result;
  absl::MutexLock lock(&mutex_);
  for (auto it = by_attempt_.lower_bound(prefix);
       it != by_attempt_.end() && absl::StartsWith(it->first, prefix); ++it) {
    for (const NumberedLine& line : it->second) {
      if (line.number >= from) {
        found.push_back(&line);
      }
    }
  }
  std::sort(found.begin(), found.end(),
            [](const NumberedLine* a, const NumberedLine* b) { return a->number < b->number; });
  if (found.size() > lines_max) {
    found.resize(lines_max);
  }
  result.next = found.empty() ? std::max(from, int64_t{1}) : found.back()->number + 1;
  for (const NumberedLine* line : found) {
    result.lines.push_back(line->line);
  }
  return result;
}

}  // namespace wattle::runtime
