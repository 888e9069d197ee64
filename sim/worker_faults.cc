// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Faults of a simulated worker: of its card, clock, power and runner, and actions of its owner.
#include <algorithm>
#include <iterator>
#include <map>
#include <string>

#include "absl/strings/match.h"

#include "sim/worker.h"

namespace wattle::sim {
namespace {

// The power fails within this many disk operations, which covers every point of a save or a report.
constexpr int kOperationsBeforeCut = 12;
constexpr int kTornBytesMax = 60;

}  // namespace

void Worker::Die() {
  Stop(ProcessStop::kPowerCut);
  dead_ = true;
}

void Worker::SetSwitchedOff(bool off) {
  if (off == switched_off_) {
    return;
  }
  switched_off_ = off;
  if (!off) {
    Start();
    return;
  }
  Stop(ProcessStop::kPowerCut);
  AdvanceBoard();  // The process may have ended earlier, on a board with power.
  powered_ = false;
  board_.SetPowered(false);
}

void Worker::CutPowerSoon() {
  disk_.CutPowerAfter(world_.random.Below(kOperationsBeforeCut),
                      static_cast<size_t>(world_.random.Below(kTornBytesMax)));
}

void Worker::LoseDisk() {
  lost_something_ = true;
  held_until_seconds_ = 0.0;
  link_.gone(device_id_);
  policies_.ForgetSpent();
  releases_.clear();
  release_.clear();
  fetched_bytes_ = 0;
  parts_bytes_.clear();
  const std::map<std::string, std::string> files = disk_.files();
  for (const auto& [name, content] : files) {
    disk_.Forget(name);
  }
}

void Worker::StepClock(double seconds) {
  clock_offset_seconds_ += seconds;
  held_until_seconds_ = 0.0;  // after a reboot a wrong clock ends the hold at a wrong time
}

void Worker::SetClockLate(double seconds) {
  late_seconds_ = seconds;
  held_until_seconds_ = 0.0;
}

bool Worker::HoldByOwner(double seconds) {
  if (!alive()) {
    return false;
  }
  absl::Status held;
  Call([&](const agent::Instant& now) { held = core_->Hold(absl::Seconds(seconds), now); });
  held_since_seconds_ = world_.loop.now_seconds();
  const bool owed = held.ok() && !disk_.power_is_cut() && late_seconds_ == 0.0 && TimeIsTold();
  held_until_seconds_ = owed ? held_since_seconds_ + seconds : 0.0;
  return true;
}

void Worker::ReleaseByOwner() {
  if (alive()) {
    Call([&](const agent::Instant& now) { core_->EndHold(now).IgnoreError(); });
    held_until_seconds_ = 0.0;
  }
}

bool Worker::DamageFile() {
  const auto& files = disk_.files();
  if (files.empty()) {
    return false;
  }
  auto file = files.begin();
  std::advance(file, world_.random.Below(static_cast<int>(files.size())));
  // A result has its own checksums (ADR 17), which its reader compares.
  if (file->second.empty() || absl::StrContains(file->first, "/output/") ||
      absl::StartsWith(file->first, "results/")) {
    return false;
  }
  lost_something_ = true;
  held_until_seconds_ = 0.0;
  policies_.ForgetSpent();
  const std::string name = file->first;
  const auto size = static_cast<int>(file->second.size());
  if (world_.random.Chance(0.3)) {
    disk_.LoseTail(name, static_cast<size_t>(world_.random.Below(size)));
  } else {
    disk_.FlipBit(name, static_cast<size_t>(world_.random.Below(8 * size)));
  }
  return true;
}

void Worker::SetDisk(Disk disk) {
  using OfDisk = agent::MemoryDisk::Fault;
  policies_.ForgetSpent();
  disk_state_ = disk;
  disk_so_since_seconds_ = world_.loop.now_seconds();
  disk_.set_fault(disk == Disk::kFull       ? OfDisk::kFull
                  : disk == Disk::kReadOnly ? OfDisk::kReadOnly
                  : disk == Disk::kError    ? OfDisk::kError
                                            : OfDisk::kNone);
}

bool Worker::BreakRunner(RunnerFault fault) {
  if (runner_ == nullptr || !runner_->running()) {
    return false;
  }
  fault == RunnerFault::kHang ? runner_->Hang() : runner_->Crash();
  return true;
}

void Worker::StopFaults() {
  faults_ = false;
  AdvanceBoard();
  board_.Recharge();
  board_.sensors = {};
  SetOtherLoad(false);
  SetWeakSupply(false);
  SetMemoryTaken(false);
  SetDisk(Disk::kHealthy);
}

}  // namespace wattle::sim
