// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The charge that a battery must hold above the reserve while work runs. The promise is that no
// joule of work is drawn once the true state of charge is at the reserve. Work cannot stop at once,
// so the order to stop must come earlier: by the gauge's error, and by the joules that the device
// can still draw until the work has ended. The planner checks before a job is placed and the guard
// before each step; both use these functions, so the guard allows every job that the planner
// places. Pure; thread-safe.
#ifndef WATTLE_POLICY_HELD_BACK_H_
#define WATTLE_POLICY_HELD_BACK_H_

#include <optional>

#include "absl/time/time.h"

#include "units/quantity.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::policy {

// A reading older than this is no reading. Work may continue for this long without a new reading,
// so the draw of this time is held back too.
inline constexpr absl::Duration kReadingAgeMax = absl::Seconds(30);
// Time to sync the disks and power the board off.
inline constexpr absl::Duration kShutdownTime = absl::Seconds(10);

// How long work continues after the order to stop, and the device's draw meanwhile. Device time;
// predicted until measured.
struct StopEstimate {
  absl::Duration start{};       // of the runner, which makes its first step before it can stop
  absl::Duration step{};        // the longest
  absl::Duration checkpoint{};  // one
  Watts load{};                 // of the whole device while it works
};

// The steps of a spec; 0: not stated. Read once for many predictions of one job.
struct SpecSteps {
  bool keeps_checkpoints = false;
  double steps = 0;
  double batch_size = 0;
  double gradient_accumulation_steps = 0;
  double sequence_length = 0;
  double checkpoint_every_steps = 0;
};
SpecSteps StepsOf(const v1::JobSpec& spec);

// The estimate from the prediction of a job that has not run yet. If the prediction has no step
// length, half a minute is assumed, or the whole run if that is shorter.
StopEstimate PredictedStop(const SpecSteps& steps, const v1::Prediction& prediction);
StopEstimate PredictedStop(const v1::JobSpec& spec, const v1::Prediction& prediction);

// Time from the order to stop until a runner that has not stopped is killed. Estimates come from
// past steps and the next may be longer, so this is 1.5 times the estimate, and at least 20 s.
absl::Duration StopTime(const StopEstimate& estimate);

// The lead of the order to stop before the moment at which work must have ended. Checks are rare
// while nothing happens, because work continues without a new reading.
absl::Duration StopLead(const StopEstimate& estimate);

// Joules that the device can draw, at most, between the last reading before the order to stop and
// the moment at which nothing of the work runs any more.
Joules HeldBack(const StopEstimate& estimate);

// The known properties of a battery's gauge.
struct Gauge {
  Fraction error{};                  // a reading may be off by this share of the capacity
  std::optional<Joules> capacity{};  // absent: the gauge does not report it
};

// The state of charge at which work must stop: reserve + gauge error + HeldBack as a share of the
// capacity. Without a known capacity that share is 5 %, which is HeldBack of a 15 W load with a
// checkpoint of half a minute on the smallest useful battery, about 10 Wh.
Fraction StopThreshold(Fraction reserve, const Gauge& gauge, const StopEstimate& estimate);

// The state of charge above which stopped work resumes: 3 % above the stop. If a start of the
// runner and a checkpoint are expensive for the battery, twenty times their joules above the stop,
// so that they take at most a twentieth of the work. At most half of the charge above the stop.
Fraction ResumeThreshold(Fraction stop, const Gauge& gauge, const StopEstimate& estimate);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_HELD_BACK_H_
