// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Learns from the first steps of a running attempt. A board that never ran a workload has a
// prediction whose upper end may be 60 times its lower end. Half a minute of the job's own work is
// more accurate, long before the receipt. A probe is a row of this one device, with a source and a
// level of its own, until a measured row of the same work replaces it. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_PROBE_H_
#define WATTLE_SCHEDULER_PROFILES_PROBE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "wattle/v1/device.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

class ProfileTable;

// Standard deviation of the logarithm of a run's seconds about its probe: the steps' own spread,
// and effects that half a minute does not show, such as heat.
inline constexpr double kProbeDeviation = 0.10;

// A probe is complete after this many seconds of steps.
inline constexpr double kProbeSecondsMax = 30;

// A prediction whose ends differ by more than this ratio is probed before plans use it.
inline constexpr double kProbeAboveRatio = 3;

// Whether a probe may narrow the prediction: its ends are far apart, and not only because a
// generation may end early, which lowers only the lower end.
[[nodiscard]] bool IsWide(const v1::Prediction& prediction);

// Whether the work is long enough to predict the rest: 5 s and four steps, or 15 s of longer steps.
[[nodiscard]] bool IsEnough(const v1::SteadyWork& steady);

// The attempt's work and its device.
struct ProbedAttempt {
  std::string attempt_id;
  const v1::DeviceInfo& device;
  std::string power_mode;
  v1::WorkloadSignature signature;
  v1::WorkUnit unit = v1::WORK_UNIT_UNSPECIFIED;
  double tokens_per_example = 0;  // 0: unknown.
  // Above 0: a step also generates tokens, which cost more than the tokens it reads.
  double answer_passes_per_example = 0;
  double idle_power_watts = 0;  // 0: unknown.
};

// The row of the probe. nullopt: nothing to learn, because the work is too short, its unit is not
// one that steps count (training and evaluated tokens), or a number is outside the bounds of any
// board.
[[nodiscard]] std::optional<v1::ProfileRow> LearnFromSteadyWork(const ProbedAttempt& attempt,
                                                                const v1::SteadyWork& steady,
                                                                absl::Time now);

// The probes of the device that no measured row has replaced.
[[nodiscard]] std::vector<const v1::ProfileRow*> ProbesOf(const ProfileTable& table,
                                                          const v1::DeviceInfo& device);

// The probe of the attempt on the device; null: it has none, or a measured row replaced it.
[[nodiscard]] const v1::ProfileRow* FindProbe(const ProfileTable& table,
                                              const v1::DeviceInfo& device,
                                              const std::string& attempt_id);

// Sets the scores of the attempt's probe by the run's actual time and energy.
void ScoreProbe(const v1::ProfileRow& probe, v1::RunObservation* run);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_PROBE_H_
