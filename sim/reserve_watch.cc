// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/reserve_watch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace wattle::sim {
namespace {

// A jump of the gauge is believed after 20 s (telemetry/battery/guard.h), a silent one for 30 s
// (policy/held_back.h); then the runner has its stop time, in which it ends a step and a
// checkpoint.
constexpr double kGraceSteps = 6.0;
constexpr double kGraceSeconds = 75.0;

}  // namespace

void ReserveWatch::SetPolicies(const v1::DesiredSet& desired, double now_seconds) {
  double reserve_ratio = 0.0;
  for (const v1::Policy& policy : desired.policies()) {
    reserve_ratio = std::max(reserve_ratio, policy.reserve_state_of_charge_ratio());
  }
  if (reserve_ratio > reserve_ratio_) {
    Disturb(now_seconds);
  }
  reserve_ratio_ = reserve_ratio;
}

std::string ReserveWatch::Check(const Board& board, double now_seconds, double step_seconds) {
  if (board.sensors.gauge_silent || board.sensors.gauge_says) {
    Disturb(now_seconds);
  }
  const double limit = reserve_ratio_ - board.settings().gauge_error.value();
  const bool undisturbed =
      now_seconds - disturbed_seconds_ > kGraceSteps * step_seconds + kGraceSeconds;
  if (reserve_ratio_ <= 0.0 || !board.has_battery() || !board.working() || !undisturbed ||
      board.charge().value() >= limit) {
    return "";
  }
  return absl::StrCat("works at a true charge of ", board.charge().value(), ", the reserve is ",
                      reserve_ratio_, ", the gauge's stated error ",
                      board.settings().gauge_error.value());
}

}  // namespace wattle::sim
