// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Runs that rest at the reserve of their board. The board's guard stops such a run when the charge
// is at what must be left, its checkpoint keeps what it did, and it goes on once the sun has
// charged the battery. A plan counts on rests where a run would otherwise wait for a charge that
// bears it whole, and would end later. Pure.
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

// The end of a run that rests is that in the sun of a day like others: so many of a hundred are
// darker.
inline constexpr size_t kDarkerMean = 50;

// People are told of rests from here on. Shorter ones are those of darker days alone.
inline constexpr double kRestToTellSeconds = 60;

// Whether runs rest on a device with these limits: its guard keeps a charge, and no window or daily
// budget stops them too.
bool MayPause(const v1::Device& device, const policy::Limits& limits);

// A run on a pack that may rest.
struct PausableRun {
  const timetable::Pack& pack;
  timetable::Draw whole;           // Without rests, at the mean.
  timetable::Seconds upper = 0;    // Its length at the upper quantile.
  timetable::Seconds restart = 0;  // Of the runner, behind each rest.
  // A run whose upper end with its rests is later, or not known, does not rest. nullopt: it may end
  // at any time.
  std::optional<timetable::Seconds> latest_end = std::nullopt;
};

// By the job's deadline; nullopt: it has none.
std::optional<timetable::Seconds> LatestEndOf(const JobView& job, absl::Time now);

// A run on a board.
struct RunOnBoard {
  const v1::Device& device;
  const DeviceLoad& load;
  const policy::Limits& limits;
  const policy::SpecSteps& steps;
  const v1::Prediction& prediction;
};

// nullopt: it rests at no reserve. It keeps no checkpoints, it is a probe, a window or a daily
// budget stops it too, or nobody knows the device's sun.
std::optional<PausableRun> PausableRunOf(const RunOnBoard& on);
// The same of a job's run that is to be placed: its deadline counts. A measurement does not rest,
// because one that is cut off tells nothing.
std::optional<PausableRun> PausableRunOf(const RunOnBoard& on, const JobView& job, absl::Time now);

// What the charge has to bear when the run begins.
timetable::Draw FirstPartOf(const PausableRun& run);

struct ReservePauses {
  timetable::Seconds total = 0;  // Of the run at its mean, in the sun of a day like others.
  // Of the run at its upper quantile, in the sun of the darkest day of ten. nullopt: nobody knows.
  std::optional<timetable::Seconds> upper;
};

// The rests of a run that begins at `begin`. nullopt: the charge bears the whole run, or does not
// bear its first part, or the run ends no earlier than a later one without rests, or too late.
std::optional<ReservePauses> ReservePausesFrom(const PausableRun& run, timetable::Seconds begin);

// The rests of a run that begins now, whatever the charge bears; 0: the charge bears it whole.
timetable::Seconds ReservePauseOnceBegun(const PausableRun& run);

// The earliest begin, from `after` on, of the run without rests, or of a run with rests that ends
// before that one and in time. nullopt: none within the pack's horizon.
std::optional<timetable::Seconds> EarliestStart(const PausableRun& run, timetable::Seconds after);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SUN_RESERVE_PAUSES_H_
