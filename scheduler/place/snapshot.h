// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The input of a plan: the fleet and the queue at one event of the journal. Plain values, which the
// caller copies; nothing here reads a clock. A snapshot never changes once built, so it needs no
// lock. Read place.h next.
#ifndef WATTLE_SCHEDULER_PLACE_SNAPSHOT_H_
#define WATTLE_SCHEDULER_PLACE_SNAPSHOT_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "proto/peak_memory.h"
#include "scheduler/predict/work.h"  // InputView
#include "scheduler/timetable/amounts.h"
#include "units/id.h"
#include "units/quantity.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/policy.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

class ProfileTable;

// A running attempt that its device can hand over with its checkpoint, so that its job can continue
// later or elsewhere.
struct ReleasableAttempt {
  AttemptId id;
  JobId job;
  int32_t priority = 0;                             // The spec's.
  absl::Time deadline = absl::InfiniteFuture();     // Deadline of its job.
  absl::Duration remaining = absl::ZeroDuration();  // Wall time, at the run's upper quantile.
  absl::Duration hand_over = absl::ZeroDuration();  // From the release until the device is free.
  absl::Duration resume = absl::ZeroDuration();     // Until the run resumes, once placed again.
};

// A running attempt whose guard may stop it at the reserve; its checkpoint keeps the work.
struct RestsAtReserve {
  Joules held_back;                               // See policy::HeldBack.
  absl::Duration restart = absl::ZeroDuration();  // Restart of the runner after each rest.
};

// Exploration budget of a device (coordinator/core/exploration.h).
struct ExplorationBudget {
  Joules left{std::numeric_limits<double>::infinity()};     // In the present day.
  Joules per_day{std::numeric_limits<double>::infinity()};  // Today's limit.
  absl::Time day_ends = absl::InfiniteFuture();
};

// A forecast of a device's sun, with the trust that the latest days justify.
struct SunForecast {
  std::string name;
  int64_t first_hour = 0;                    // Hours since 1970, UTC.
  std::vector<timetable::Milliwatts> power;  // Mean of each hour.
  int64_t trust = 0;  // In thousandths; the rest goes to the device's own history.
};

// A device with its present commitments.
struct DeviceView {
  v1::Device device;
  // Wall time at which the device's running or placed attempt is expected to end; at or before
  // Snapshot::now: the device is free. A device that still runs an attempt after that time counts
  // as busy for a little longer, never as free. The present pause of the attempt is included;
  // future pauses for a window or a budget are not, because the plan adds them (device_load.h).
  absl::Time free_at = absl::InfinitePast();
  // When the paused attempt resumes; at or before Snapshot::now: it is not paused.
  absl::Time goes_on_at = absl::InfinitePast();
  // Wall time of the attempt's remaining work, at the lower and the upper quantile of its run; both
  // 0: unknown, or the end of its pause is a guess.
  absl::Duration remaining_low = absl::ZeroDuration();
  absl::Duration remaining_high = absl::ZeroDuration();
  // The attempt only hands over until free_at; no window and no budget stops a hand-over.
  bool hands_over = false;
  Joules committed_energy;  // Gross joules that the attempt is still expected to draw from the
                            // battery.
  Watts running_power;      // Mean gross watts that the attempt is expected to draw while it runs.
  // Why the attempt does not run now, one clause for people; empty: it runs.
  std::string waits_for;
  std::optional<ReleasableAttempt> releasable;     // nullopt: it stays.
  std::optional<RestsAtReserve> rests_at_reserve;  // nullopt: the attempt does not rest.
  ExplorationBudget exploration;
  // The artifacts that the attempt brings to the device, and how long its fetch still occupies the
  // link.
  std::vector<std::string> coming_artifact_ids;
  absl::Duration fetches_for = absl::ZeroDuration();
  // The device runs an attempt with a wide prediction, whose first steps are not known yet.
  bool probes = false;
  // Number of further jobs that may wait on the device behind its attempt; negative: too many do.
  int queue_room = 0;
  std::optional<SunForecast> sun_forecast;  // nullopt: no forecast is trusted.
  // Runs on the device that were planned without rests: how many ended, as far back as recorded,
  // and how often its guard stopped one for lack of charge.
  int64_t runs_ended = 0;
  int64_t runs_stopped_by_charge = 0;
};

// Field of the inputs that a job's quality floor names.
inline constexpr char kFloorModelsField[] = "quality_floor.models";

// A model that a job with a quality floor may run.
struct ModelView {
  v1::ArtifactInfo artifact;
  std::string reference;   // Its reference in a job file.
  bool is_parent = false;  // The model that the job names.
  PeakMemory peak_memory;  // See JobView; for this model.
};

// A form of a job that takes less memory and does the same work.
struct LeanerForm {
  std::string change;      // "activation_checkpointing: true", as written in a job file.
  PeakMemory peak_memory;  // See JobView.
};

// Why a profile job makes no further run.
struct ProfileEnd {
  bool measured = false;  // True: it has measured everything; false: it measured nothing.
  std::string why;        // For people.
};

// The start of a waiting job in the latest plan.
struct LastPlace {
  DeviceId device;
  absl::Time start;
};

struct JobView {
  // 0 for a dry run.
  [[nodiscard]] double WaitedSeconds(absl::Time now) const {
    return submitted == absl::InfinitePast()
               ? 0
               : std::max(0.0, absl::ToDoubleSeconds(now - submitted));
  }

  JobId id;
  v1::JobSpec spec;
  absl::Time submitted =
      absl::InfinitePast();  // Infinite past: a dry run, which counts as submitted now.
  std::vector<InputView> inputs;
  std::vector<DeviceId> avoided_devices;  // Devices on which an attempt failed.
  // Devices on which an attempt failed only on the accelerator: their cores may take the job.
  std::vector<DeviceId> avoided_accelerators = {};
  // Estimated for the runner (models/memory_estimate.h, which the scheduler may not include); if
  // unknown, memory is no reason to refuse.
  PeakMemory peak_memory;
  // The memory of leaner forms, the largest first; nullopt: not evaluated.
  std::optional<std::vector<LeanerForm>> leaner_forms = std::nullopt;
  std::vector<ModelView> models;  // For a job with a quality floor: all models that it may run.
  Joules spent;                   // Gross, of the job's attempts so far.
  // Optimizer steps in a checkpoint from which every device can resume; 0: none.
  int64_t checkpoint_step = 0;
  // Size of a checkpoint that a device must fetch first; 0: not counted.
  int64_t checkpoint_bytes = 0;
  // The device on which an attempt of the job waits behind another one and has not begun.
  std::optional<DeviceId> queued_on = std::nullopt;
  std::optional<LastPlace> last_place = std::nullopt;  // nullopt: it had none.
  // For a profile job: the run that `spec` describes, which is possible only in the point's mode.
  std::optional<v1::ProfilePoint> profile_point = std::nullopt;
  // For that run: gross joules with everything around it, by which the job's next run was judged.
  // 0: no run was chosen.
  Joules profile_demand = {};
  // For a profile job: the device that its label "device=" names by name or id. The run was chosen
  // for that device, and no other one takes it. Unset: the fleet lacks it.
  std::optional<DeviceId> profiled_device = std::nullopt;
  std::optional<ProfileEnd> profile_end = std::nullopt;  // For a profile job without a further run.
};

// The rest of a running attempt, which may cost less on another device (moves.h).
struct RunningRest {
  AttemptId attempt;
  DeviceId device;  // Where it runs.
  // The rest as a job after the step that the attempt has reached. The job avoids `device`.
  JobView job;
  absl::Duration remaining = absl::ZeroDuration();  // On its present device: mean wall time.
  Joules marginal;                                  // On its present device: joules above idle.
  absl::Duration hand_over = absl::ZeroDuration();  // Until its checkpoint has arrived.
  Joules hand_over_energy;
  bool leaves = false;  // The attempt was released for a gain and is being handed over.
};

// A job of a group whose jobs run apart (v1::Apart), which is open or has succeeded.
struct AntiAffinityJob {
  std::optional<DeviceId> device;  // Where it runs, waits or has succeeded; nullopt: no device.
  bool succeeded = false;
};
struct AntiAffinityGroup {
  v1::Apart anti_affinity;
  std::map<JobId, AntiAffinityJob> jobs;
  // Number of boards of the fleet, or of values of the group's label: an upper bound for its jobs.
  size_t places = 0;
};

struct Snapshot {
  SequenceNumber sequence;  // The journal's sequence number of this snapshot.
  absl::Time now;
  std::vector<DeviceView> devices;
  std::vector<JobView> queue;        // In any order.
  std::vector<RunningRest> running;  // Attempts that may move for a gain, in any order.
  int transfers_per_site = 2;        // Boards of one site (label "site") that fetch at once.
  std::map<std::string, AntiAffinityGroup>
      anti_affinity;  // Key: AntiAffinityGroupOf (anti_affinity.h).
  std::vector<v1::Policy>
      policies;  // The policies that apply; for a "what if" plan the caller puts others here.
  const ProfileTable* profiles =
      nullptr;  // Not owned; must outlive the plan. REQUIRES: not null when planning.
};

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_SNAPSHOT_H_
