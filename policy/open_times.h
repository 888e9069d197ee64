// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The times in which all of several windows are open, cached between calls, because a time zone
// look-up takes longer than the rest of a plan's check of a run. Pure; one thread owns an object.
#ifndef WATTLE_POLICY_OPEN_TIMES_H_
#define WATTLE_POLICY_OPEN_TIMES_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "policy/schedule.h"

namespace wattle::policy {

class OpenTimes {
 public:
  explicit OpenTimes(std::vector<WindowLimit> limits) : limits_(std::move(limits)) {}

  // Always open without a limit.
  [[nodiscard]] bool always() const { return limits_.empty(); }
  // The answers of OpensAt and ClosesAt (schedule.h) for the limits.
  [[nodiscard]] absl::Time OpensAt(absl::Time at) const;
  // REQUIRES: open at `at`.
  [[nodiscard]] absl::Time ClosesAt(absl::Time at) const;

 private:
  struct Open {
    absl::Time begin;
    absl::Time end;
  };
  // Enough for the windows of eight months. Later times, and times before the first call, are not
  // cached.
  static constexpr size_t kKeptMax = 256;

  // The first open time that ends after the moment; null: not cached.
  [[nodiscard]] const Open* EndingAfter(absl::Time at) const;
  void Keep(absl::Time from) const;

  std::vector<WindowLimit> limits_;
  mutable absl::Time from_;  // time of the first call; from it to the first cached open time all is
                             // closed
  mutable std::vector<Open> kept_;  // one after the other
};

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_OPEN_TIMES_H_
