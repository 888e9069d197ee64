// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Invariants of a simulated worker at every moment: its lease, its owner's hold, its own power
// mode, and its reports about the disk; no work on a weak supply or beside programs that wait for
// memory; and no idling while it has work.
#include <algorithm>

#include "absl/strings/str_cat.h"

#include "sim/worker.h"

namespace wattle::sim {
namespace {

// A hung runner is killed two minutes after its order to stop.
constexpr double kHungSeconds = 130.0;
// Time in which a runner ends a step, which may be a tenth longer than the mean, and writes a
// checkpoint.
constexpr double kStepsToStop = 2.0;
// The worker wakes for the end of a hold.
constexpr double kHoldEndsSeconds = 5.0;
// The worker judges a shortage of memory by its last ten seconds.
constexpr double kMemorySeconds = 10.0;
// A failing disk is reported within 90 s if a write is tried each minute, and its recovery after
// the next try.
constexpr double kSickSeconds = 30.0;
constexpr double kHealedSeconds = 30.0;
// The board's own mode is restored within this time after its last attempt.
constexpr double kModeSeconds = 60.0;

}  // namespace

// Duration of a step of this board, which may have begun beside other programs.
double Worker::StepSeconds() {
  const double seconds = world_.options.step_seconds * SlowestBy();
  const double beside_others_seconds = seconds * (other_load_ ? 1.0 : kBesideOthersSlower);
  const bool may_be_slow =
      world_.loop.now_seconds() < other_load_since_seconds_ + kStepsToStop * beside_others_seconds;
  return may_be_slow ? beside_others_seconds : seconds;
}

double Worker::StopSeconds() {
  return (runner_ != nullptr && runner_->hung() ? kHungSeconds : 10.0) +
         kStepsToStop * StepSeconds();
}

// No work runs while the board's owner holds it, also after restarts and without a link, and the
// hold ends on time.
void Worker::CheckOwnerHold() {
  if (held_until_seconds_ == 0.0) {
    return;
  }
  const double now_seconds = world_.loop.now_seconds();
  if (now_seconds < held_until_seconds_) {
    if (board_.working() && now_seconds > held_since_seconds_ + StopSeconds()) {
      world_.invariants.Break(absl::StrCat(device_id_,
                                           " works, and its owner holds it for another ",
                                           held_until_seconds_ - now_seconds, " s"));
    }
  } else if (now_seconds > held_until_seconds_ + kHoldEndsSeconds) {
    held_until_seconds_ = 0.0;
    if (core_->owner_hold().active()) {
      world_.invariants.Break(absl::StrCat(device_id_,
                                           " is still held, though its owner's time is "
                                           "over"));
    }
  }
}

// No work runs on a weak supply, nor beside programs that wait for memory, once the process has had
// time to notice.
void Worker::CheckShortages() {
  const double now_seconds = world_.loop.now_seconds();
  const auto check = [&](bool on, double since_seconds, double noticed_seconds, const char* what) {
    const double known_since_seconds =
        std::max(since_seconds, life_since_seconds_) + noticed_seconds;
    if (on && board_.working() && now_seconds > known_since_seconds + StopSeconds()) {
      world_.invariants.Break(absl::StrCat(device_id_, " works, though ", what, " for ",
                                           now_seconds - since_seconds, " s"));
    }
  };
  const double look_seconds = 2.0 * world_.options.sample_seconds;
  check(weak_supply_, weak_supply_since_seconds_, look_seconds, "its supply has been too weak");
  check(memory_taken_, memory_taken_since_seconds_, look_seconds + kMemorySeconds,
        "others have had its memory");
}

// A device does all work that it holds and may do, also without a link.
void Worker::CheckIdle(const agent::Instant& now) {
  const double now_seconds = world_.loop.now_seconds();
  if (disk_.power_is_cut() || !core_->IdlesOverWork(now)) {
    idles_over_work_since_seconds_ = 0.0;
  } else if (idles_over_work_since_seconds_ == 0.0) {
    idles_over_work_since_seconds_ = now_seconds;
  } else if (now_seconds > idles_over_work_since_seconds_ + StopSeconds()) {
    world_.invariants.Break(absl::StrCat(device_id_, " idles for ",
                                         now_seconds - idles_over_work_since_seconds_,
                                         " s although it holds work that it may do"));
  }
}

// A board reports that its disk fails, and its recovery. While work runs, a checkpoint may slow
// down other writes; tests/simulation/storage_test.cc checks their time.
void Worker::CheckStorage(const agent::Instant& now) {
  const double now_seconds = world_.loop.now_seconds();
  if (disk_.power_is_cut() || (disk_state_ == Disk::kSlow && core_->busy())) {
    disk_so_since_seconds_ = now_seconds;
    return;
  }
  const double period_seconds = absl::ToDoubleSeconds(StorageProbePeriod());
  const double known_seconds =
      disk_state_ == Disk::kHealthy ? kHealedSeconds : period_seconds + kSickSeconds;
  if (now_seconds < disk_so_since_seconds_ + known_seconds) {
    return;
  }
  const std::string told = core_->MakeHeartbeat(now).storage_problem();
  if (told.empty() != (disk_state_ == Disk::kHealthy)) {
    world_.invariants.Break(absl::StrCat(device_id_, " says of its disk \"", told,
                                         "\" when it was ",
                                         disk_state_ == Disk::kHealthy ? "healthy" : "sick",
                                         " for ", now_seconds - disk_so_since_seconds_, " s"));
  }
}

// A worker checkpoints and stops when it has had no contact for longer than its lease.
void Worker::CheckLease() {
  const double now_seconds = world_.loop.now_seconds();
  if (stream_ != 0) {
    contact_seconds_ = now_seconds;
  } else if (core_->owner_hold().active()) {
    contact_seconds_ += now_seconds - lease_checked_seconds_;  // the lease does not run
  }
  lease_checked_seconds_ = now_seconds;
  const double grace_seconds = StopSeconds();
  if (runner_ != nullptr && runner_->running() && running_lease_seconds_ > 0.0 &&
      now_seconds - contact_seconds_ > running_lease_seconds_ + grace_seconds) {
    world_.invariants.Break(absl::StrCat(device_id_, " still runs ", now_seconds - contact_seconds_,
                                         " s after its last contact, its lease was ",
                                         running_lease_seconds_, " s"));
  }
}

// A worker reports the mode of its board, and restores the board's own mode after work, whatever a
// profile job set.
void Worker::CheckPowerMode() {
  const double now_seconds = world_.loop.now_seconds();
  if (has_modes_ && core_->power_mode() != power_mode_) {
    world_.invariants.Break(absl::StrCat(device_id_, " tells that it is in the power mode ",
                                         core_->power_mode(), ", and it is in ", power_mode_));
  }
  if (board_.working() || core_->busy() || power_mode_.empty() || power_mode_ == own_mode_) {
    idle_since_seconds_ = now_seconds;
  } else if (now_seconds > idle_since_seconds_ + kModeSeconds + StopSeconds()) {
    world_.invariants.Break(absl::StrCat(device_id_, " has no work and is in the power mode ",
                                         power_mode_, ", not in its own"));
  }
}

}  // namespace wattle::sim
