// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Counts refused calls and reports them once a minute for each caller and method, so that a flood
// does not fill a log. Once a minute the counts of all go to the journal. Thread-safe.
#ifndef WATTLE_COORDINATOR_CALLERS_REFUSED_CALLS_H_
#define WATTLE_COORDINATOR_CALLERS_REFUSED_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "coordinator/core/state.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::callers {

class RefusedCalls {
 public:
  // Takes one line for people.
  using Tell = std::function<void(const std::string& line)>;

  // who: "person ann"; empty for a stranger. what: the method or route. why: the refusal's message.
  void Note(absl::string_view who, absl::string_view what, absl::string_view why, Monotonic now)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Sets the receiver of lines; empty: none. No call of the former receiver runs when this returns.
  void SetTell(Tell tell) ABSL_LOCKS_EXCLUDED(mutex_);

  // Limits of an event of the journal: the number of callers and methods, and the bytes of their
  // names and of a reason. An event is below 2 KiB, and a day with an event a minute below 3 MiB.
  static constexpr size_t kCountedMax = 8;
  static constexpr size_t kWhoBytesMax = 80;
  static constexpr size_t kMethodBytesMax = 64;
  static constexpr size_t kReasonBytesMax = 80;
  // Writes the counts to the journal; false: try again later. Must not block.
  using Keep = std::function<bool(const v1::RefusalsCounted& counted)>;
  // Passes the refusals since the last successful call to `keep`, unless the first of them is
  // younger than `age_min`.
  void KeepCounts(const core::Instant& now, const Keep& keep,
                  absl::Duration age_min = absl::Minutes(1)) ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] uint64_t total() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Key = std::pair<std::string, std::string>;  // Caller and method.
  struct Kept {
    Monotonic told;
    uint64_t since = 0;  // Refusals not yet reported.
  };
  struct Counted {
    int64_t calls = 0;
    std::string reason;  // The latest.
  };
  void ForgetOld(Monotonic now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Count(const Key& key, absl::string_view why, Monotonic now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] v1::RefusalsCounted Counts(const core::Instant& now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<Key, Kept> kept_ ABSL_GUARDED_BY(mutex_);
  // Refusals that are not yet in the journal.
  std::map<Key, Counted> counted_ ABSL_GUARDED_BY(mutex_);
  int64_t other_calls_ ABSL_GUARDED_BY(mutex_) = 0;  // Further refusals.
  std::optional<Monotonic> counts_since_ ABSL_GUARDED_BY(mutex_);
  uint64_t total_ ABSL_GUARDED_BY(mutex_) = 0;
  Tell tell_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::callers

#endif  // WATTLE_COORDINATOR_CALLERS_REFUSED_CALLS_H_
