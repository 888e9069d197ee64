// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The times in which all of some windows are open, kept from question to question: what a time zone
// says of a day takes longer than the rest of a plan's question about a run. Pure; one thread owns
// an object.
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

  // Without a limit it is always open.
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
  // As many as windows of eight months. What lies behind them, or before the first question, is not
  // kept.
  static constexpr size_t kKeptMax = 256;

  // The first that ends after the moment; null: it is not kept.
  [[nodiscard]] const Open* EndingAfter(absl::Time at) const;
  void Keep(absl::Time from) const;

  std::vector<WindowLimit> limits_;
  mutable absl::Time from_;  // of the first question; no time before the first kept one is open
  mutable std::vector<Open> kept_;  // one after the other
};

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_OPEN_TIMES_H_
