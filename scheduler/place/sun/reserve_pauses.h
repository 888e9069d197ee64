// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Runs that rest at the reserve of their board. The board's guard stops such a run when the charge
// reaches the reserve, its checkpoint keeps the work, and the run resumes once the sun has charged
// the battery. A plan uses rests if a run would otherwise wait for a charge that suffices for the
// whole run, and would end later. Pure.
#ifndef WATTLE_SCHEDULER_PLACE_SUN_RESERVE_PAUSES_H_
#define WATTLE_SCHEDULER_PLACE_SUN_RESERVE_PAUSES_H_

#include <cstddef>
#include <optional>

#include "absl/time/time.h"

#include "policy/held_back.h"
#include "policy/limits.h"
#include "scheduler/place/device/device_load.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/timetable/pack.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// The expected end of a run that rests is that under the median sun: percentage of darker days.
inline constexpr size_t kDarkerMean = 50;

// Rests are reported to people from this length on. Shorter ones occur only on darker days.
inline constexpr double kRestToTellSeconds = 60;

// Whether runs rest on a device with these limits: its guard keeps a charge, and no window or daily
// budget stops them too.
bool MayPause(const v1::Device& device, const policy::Limits& limits);

// A run on a pack that may rest.
struct PausableRun {
  const timetable::Pack& pack;
  timetable::Draw whole;           // Without rests, at the mean.
  timetable::Seconds upper = 0;    // Its length at the upper quantile.
  timetable::Seconds restart = 0;  // Restart of the runner after each rest.
  // A run whose upper end with its rests is later than this, or unknown, does not rest. nullopt: no
  // limit.
  std::optional<timetable::Seconds> latest_end = std::nullopt;
};

// From the job's deadline; nullopt: it has none.
std::optional<timetable::Seconds> LatestEndOf(const JobView& job, absl::Time now);

// A run on a board.
struct RunOnBoard {
  const v1::Device& device;
  const DeviceLoad& load;
  const policy::Limits& limits;
  const policy::SpecSteps& steps;
  const v1::Prediction& prediction;
};

// nullopt: the run rests at no reserve, because it keeps no checkpoints, is a probe, a window or a
// daily budget stops it too, or the device's sun is unknown.
std::optional<PausableRun> PausableRunOf(const RunOnBoard& on);
// PausableRunOf for a job's run that is to be placed, with its deadline. A measurement does not
// rest, because an interrupted one is useless.
std::optional<PausableRun> PausableRunOf(const RunOnBoard& on, const JobView& job, absl::Time now);

// The part that the charge must supply when the run begins.
timetable::Draw FirstPartOf(const PausableRun& run);

struct ReservePauses {
  timetable::Seconds total = 0;  // For the run at its mean, under the median sun.
  // For the run at its upper quantile, in the sun of the darkest day of ten. nullopt: unknown.
  std::optional<timetable::Seconds> upper;
};

// The rests of a run that begins at `begin`. nullopt: the charge suffices for the whole run, or not
// even for its first part, or the run ends no earlier than a later one without rests, or too late.
std::optional<ReservePauses> ReservePausesFrom(const PausableRun& run, timetable::Seconds begin);

// The rests of a run that begins now regardless of the charge; 0: the charge suffices for it.
timetable::Seconds ReservePauseOnceBegun(const PausableRun& run);

// The earliest begin, from `after` on, of the run without rests, or of a run with rests that ends
// before that one and in time. nullopt: none within the pack's horizon.
std::optional<timetable::Seconds> EarliestStart(const PausableRun& run, timetable::Seconds after);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SUN_RESERVE_PAUSES_H_
