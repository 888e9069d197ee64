// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// LinkWatch compares the traffic on one device's link with the policies:
//   - No piece of an artifact starts outside a policy's window for the link.
//   - Artifacts stop once the day's bytes exceed the policy's limit.
// The promises are void while a clock is wrong, and right after the worker starts or receives a
// policy. A process that stops loses the bytes since its last save, so the second promise is not
// checked on a day with a stop. Single-threaded.
#ifndef WATTLE_SIM_LINK_WATCH_H_
#define WATTLE_SIM_LINK_WATCH_H_

#include <cstdint>
#include <string>

#include "policy/limits.h"
#include "sim/policy_watch.h"

namespace wattle::sim {

class LinkWatch {
 public:
  void ProcessStarted(double now_seconds);
  void PoliciesChanged(double now_seconds) { disturbed_seconds_ = now_seconds; }
  // Must be called often enough to see every period in which the clock is wrong.
  void Observe(const WatchMoment& moment);
  // A piece of an artifact starts. Returns the breach in words; empty if there is none.
  std::string OnPiece(const policy::Limits& limits, const WatchMoment& moment);
  // A piece has crossed the link.
  void OnMoved(int64_t bytes);
  // Sum over all pieces.
  [[nodiscard]] int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_ = 0;
  double disturbed_seconds_ = 0.0;
  int64_t day_ = 0;
  int64_t day_bytes_ = 0;
  bool day_is_counted_ = true;
  // Before this day the worker may count the bytes to another day than the true one.
  int64_t distrusted_until_day_ = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_LINK_WATCH_H_
