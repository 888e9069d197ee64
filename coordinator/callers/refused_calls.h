// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Calls that were refused, counted, and told once a minute for each caller and method: a flood of
// them fills no log. Once a minute the counts of all go to the journal. Thread-safe.
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
  // From now on; empty: nobody is told. No call of the former one is left when this returns.
  void SetTell(Tell tell) ABSL_LOCKS_EXCLUDED(mutex_);

  // Of each event of the journal: callers and methods that it names, and the bytes of their names
  // and of a reason. So an event is below 2 KiB, and a day of an event a minute below 3 MiB.
  static constexpr size_t kCountedMax = 8;
  static constexpr size_t kWhoBytesMax = 80;
  static constexpr size_t kMethodBytesMax = 64;
  static constexpr size_t kReasonBytesMax = 80;
  // Brings the counts to the journal; false: not now, ask again later. Must not block.
  using Keep = std::function<bool(const v1::RefusalsCounted& counted)>;
  // Gives `keep` what was refused since it last took counts, unless the first of it is younger than
  // `age_min`.
  void KeepCounts(const core::Instant& now, const Keep& keep,
                  absl::Duration age_min = absl::Minutes(1)) ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] uint64_t total() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Key = std::pair<std::string, std::string>;  // Who and what.
  struct Kept {
    Monotonic told;
    uint64_t since = 0;  // Refusals that nobody was told of.
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
  // What the journal does not have yet.
  std::map<Key, Counted> counted_ ABSL_GUARDED_BY(mutex_);
  int64_t other_calls_ ABSL_GUARDED_BY(mutex_) = 0;  // Beside those.
  std::optional<Monotonic> counts_since_ ABSL_GUARDED_BY(mutex_);
  uint64_t total_ ABSL_GUARDED_BY(mutex_) = 0;
  Tell tell_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::callers

#endif  // WATTLE_COORDINATOR_CALLERS_REFUSED_CALLS_H_
