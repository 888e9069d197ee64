// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a battery must hold above the reserve while work runs. The promise is that no joule of work
// is drawn once the true state of charge is at the reserve. Work cannot stop at once, so it must be
// told to stop earlier: by the gauge's error, and by what the device can still draw until the work
// has really ended. The planner asks before a job is placed and the guard asks before each step;
// both use these functions, so a job that the planner places is one that the guard lets run. Pure;
// thread-safe.
#ifndef WATTLE_POLICY_HELD_BACK_H_
#define WATTLE_POLICY_HELD_BACK_H_

#include <optional>

#include "absl/time/time.h"

#include "units/quantity.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::policy {

// A reading older than this is no reading. Work may go on for this long without a new one, so the
// draw of this time is held back too.
inline constexpr absl::Duration kReadingAgeMax = absl::Seconds(30);
// Syncing the disks and powering the board off.
inline constexpr absl::Duration kShutdownTime = absl::Seconds(10);

// How long work runs on after it was told to stop, and what the device draws meanwhile. Device
// time; predicted until measured.
struct StopEstimate {
  absl::Duration start{};       // of the runner, which makes its first step before it can stop
  absl::Duration step{};        // the longest
  absl::Duration checkpoint{};  // one
  Watts load{};                 // of the whole device while it works
};

// What a spec says of its steps; 0: it does not say. Read once where many predictions of one job
// are asked about.
struct SpecSteps {
  bool keeps_checkpoints = false;
  double steps = 0;
  double batch_size = 0;
  double gradient_accumulation_steps = 0;
  double sequence_length = 0;
  double checkpoint_every_steps = 0;
};
SpecSteps StepsOf(const v1::JobSpec& spec);

// From the prediction of a job that has not run yet. Where the prediction does not tell how long a
// step is, it is taken as half a minute, or the whole run if that is shorter.
StopEstimate PredictedStop(const SpecSteps& steps, const v1::Prediction& prediction);
StopEstimate PredictedStop(const v1::JobSpec& spec, const v1::Prediction& prediction);

// From the order to stop until a runner that has not stopped is killed. Estimates come from steps
// that were made; a longer one may come, so this is half as long again, and 20 s at least.
absl::Duration StopTime(const StopEstimate& estimate);

// How long before a moment at which work must have ended it is told to stop: work is looked at
// seldom where nothing happens, as it goes on without a new reading.
absl::Duration StopLead(const StopEstimate& estimate);

// Joules that the device can draw, at most, between the last reading before the order to stop and
// the moment at which nothing of the work runs any more.
Joules HeldBack(const StopEstimate& estimate);

// What is known of a battery.
struct Gauge {
  Fraction error{};                  // a reading may be off by this share of the capacity
  std::optional<Joules> capacity{};  // absent: the gauge does not tell it
};

// The state of charge at which work must stop: reserve + gauge error + HeldBack as a share of the
// capacity. Without a known capacity that share is 5 %, which is HeldBack of a 15 W load with a
// checkpoint of half a minute on the smallest battery worth having, of about 10 Wh.
Fraction StopThreshold(Fraction reserve, const Gauge& gauge, const StopEstimate& estimate);

// The state of charge above which stopped work goes on: 3 % above that at which it stops. Where a
// start of the runner and a checkpoint take long for the battery, twenty times their joules above
// it, so that a twentieth of the work is spent on them at the most. At most half of what lies above
// the stop.
Fraction ResumeThreshold(Fraction stop, const Gauge& gauge, const StopEstimate& estimate);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_HELD_BACK_H_
