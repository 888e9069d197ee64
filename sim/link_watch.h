// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// LinkWatch compares what crosses one device's link with what policies allow:
//   - No piece of an artifact begins its way outside a policy's window for the link.
//   - Artifacts do not cross once those of the day are above its bytes.
// The promises do not hold while a clock is wrong, nor right after the worker starts or learns of a
// policy. A process that stops loses the bytes since its last save, so a day with a stop is left
// out of the second. Use it from one thread.
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
  // Call it often: it must see each time in which the clock is wrong.
  void Observe(const WatchMoment& moment);
  // A piece of an artifact begins its way. Returns the breach in words; empty if there is none.
  std::string OnPiece(const policy::Limits& limits, const WatchMoment& moment);
  // A piece is over the link.
  void OnMoved(int64_t bytes);
  // Of all pieces.
  [[nodiscard]] int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_ = 0;
  double disturbed_seconds_ = 0.0;
  int64_t day_ = 0;
  int64_t day_bytes_ = 0;
  bool day_is_counted_ = true;
  // Before this day the worker may count another day than the true one.
  int64_t distrusted_until_day_ = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_LINK_WATCH_H_
