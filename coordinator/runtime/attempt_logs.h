// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The last log lines of recent attempts, kept only in memory. The memory is bounded: the oldest
// lines of an attempt are dropped first, then the attempt that was silent longest. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_ATTEMPT_LOGS_H_
#define WATTLE_COORDINATOR_RUNTIME_ATTEMPT_LOGS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/service.pb.h"

namespace wattle::runtime {

class AttemptLogs {
 public:
  static constexpr size_t kLinesPerAttemptMax = 2000;
  static constexpr size_t kLineBytesMax = 4096;  // Longer lines are cut.
  static constexpr size_t kAttemptsMax = 256;

  void Add(const v1::AttemptLog& log);

  struct Lines {
    std::vector<v1::LogLine> lines;
    int64_t next = 0;  // The next call passes this number to get later lines.
  };
  // Lines of the job's attempts from number `from` on, in order of arrival, at most `lines_max`.
  [[nodiscard]] Lines Read(absl::string_view job_id, int64_t from, size_t lines_max) const;

 private:
  struct NumberedLine {
    int64_t number = 0;
    v1::LogLine line;
  };
  mutable absl::Mutex mutex_;
  int64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<std::string, std::deque<NumberedLine>> by_attempt_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_ATTEMPT_LOGS_H_
