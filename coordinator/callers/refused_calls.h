// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Calls that were refused, counted, and told once a minute for each caller and method: a flood of
// them fills no log. Thread-safe.
#ifndef WATTLE_COORDINATOR_CALLERS_REFUSED_CALLS_H_
#define WATTLE_COORDINATOR_CALLERS_REFUSED_CALLS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

#include "base/clock.h"

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

  [[nodiscard]] uint64_t total() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Kept {
    Monotonic told;
    uint64_t since = 0;  // Refusals that nobody was told of.
  };
  void ForgetOld(Monotonic now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<std::pair<std::string, std::string>, Kept> kept_ ABSL_GUARDED_BY(mutex_);
  uint64_t total_ ABSL_GUARDED_BY(mutex_) = 0;
  Tell tell_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::callers

#endif  // WATTLE_COORDINATOR_CALLERS_REFUSED_CALLS_H_
