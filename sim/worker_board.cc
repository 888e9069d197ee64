// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The board of a simulated worker: its description, its power modes, and the speed of its runner.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "proto/spec_revision.h"
#include "sim/release.h"
#include "sim/worker.h"

namespace wattle::sim {
namespace {

constexpr const char* kLowMode = "LOW";
constexpr const char* kFullMode = "MAXN";  // of new boards
// Slowdown of steps in the low mode, and its power above idle.
constexpr double kLowModeSlower = 1.5;
constexpr double kLowModeShare = 0.5;
// Slowdown of an emulated board: its rows must not be used for a real board.
constexpr double kEmulatedSlower = 3.0;
constexpr int kCores = 4;
// Share of time while other programs occupy the memory.
constexpr double kStalledShare = 0.5;
// Long enough to be noticed.
constexpr double kMemoryLookSeconds = 11.0;

}  // namespace

std::optional<Truth::WorkPower> Worker::work_power() const {
  if (machine_) {
    return std::nullopt;  // it depends on the workload
  }
  const BoardSettings& board = board_.settings();
  return Truth::WorkPower{
      has_modes_ ? board.idle + (board.work - board.idle) * kLowModeShare : board.work, board.work};
}

std::string Worker::Engine() const {
  const SpeedChanges& speed = board_.settings().speed;
  return EngineAt(speed, new_software_ ? speed.software_at_seconds : 0.0);
}

double Worker::SlowerBy() {
  AdvanceBoard();
  return board_.slower_by() * (new_software_ ? board_.settings().speed.software : 1.0) *
         (power_mode_ == kLowMode ? kLowModeSlower : 1.0) * (emulated_ ? kEmulatedSlower : 1.0) *
         (other_load_ ? kBesideOthersSlower : 1.0);
}

double Worker::SlowestBy() {
  return SlowerBy() * (has_modes_ && power_mode_ != kLowMode ? kLowModeSlower : 1.0);
}

void Worker::SetOtherLoad(bool on) {
  const double now_seconds = world_.loop.now_seconds();
  others_seconds_ += other_load_ ? now_seconds - other_load_since_seconds_ : 0.0;
  other_load_since_seconds_ = now_seconds;
  other_load_ = on;
}

void Worker::SetWeakSupply(bool on) {
  weak_supply_ = on;
  weak_supply_since_seconds_ = world_.loop.now_seconds();
}

void Worker::SetMemoryTaken(bool on) {
  stalled_seconds_ = absl::ToDoubleSeconds(MemoryStalled());
  memory_taken_since_seconds_ = world_.loop.now_seconds();
  memory_taken_ = on;
  // A real worker checks each second; an idle simulated one with its heartbeats.
  for (const double look_seconds : {0.0, kMemoryLookSeconds}) {
    Later(look_seconds, [this] { Call([](const agent::Instant&) {}); });
  }
}

absl::Duration Worker::MemoryStalled() const {
  const double since_seconds = world_.loop.now_seconds() - memory_taken_since_seconds_;
  return absl::Seconds(stalled_seconds_ + (memory_taken_ ? kStalledShare * since_seconds : 0.0));
}

agent::BoardLoad Worker::Load() const {
  const double since_seconds = world_.loop.now_seconds() - other_load_since_seconds_;
  return {.cores = kCores,
          .busy = kCores * absl::Seconds(others_seconds_ + (other_load_ ? since_seconds : 0.0)),
          .own = absl::ZeroDuration()};
}

absl::Status Worker::SetPowerMode(const std::string& mode) {
  AdvanceBoard();
  power_mode_ = mode;
  const BoardSettings& board = board_.settings();
  board_.SetWorkPower(mode == kLowMode ? board.idle + (board.work - board.idle) * kLowModeShare
                                       : board.work);
  return absl::OkStatus();
}

absl::Status Worker::RestorePowerMode() {
  return SetPowerMode(own_mode_);
}

bool Worker::SetModeByOwner() {
  if (!has_modes_ || !alive()) {
    return false;
  }
  Call([this](const agent::Instant& now) {
    own_mode_ = power_mode_ == kLowMode ? kFullMode : kLowMode;
    SetPowerMode(own_mode_).IgnoreError();
    core_->OnPowerModeSetByOthers(own_mode_, now);
  });
  return true;
}

v1::DeviceInfo Worker::Describe() const {
  if (machine_) {
    v1::DeviceInfo described = machine_->info;
    described.set_device_id(state_->device_id());
    described.set_engine_version(Engine());
    if (board_.has_battery()) {
      described.set_battery_capacity_wh(ToWattHours(*board_.settings().battery));
    }
    return described;
  }
  constexpr const char* kClasses[] = {"jetson-orin-nano", "jetson-xavier-nx", "raspberry-pi-5"};
  v1::DeviceInfo info;
  info.set_device_id(state_->device_id());
  info.set_name(absl::StrCat("board-", number_));
  info.set_device_class(kClasses[number_ % 3]);
  info.set_architecture(kArchitecture);
  info.set_time_scale(1.0);
  info.set_memory_bytes(int64_t{8} << 30);
  info.set_cores(kCores);
  info.set_energy_source(v1::ENERGY_SOURCE_INA3221);
  info.set_energy_scope("module");
  info.set_engine_version(Engine());
  info.set_worker_version(version_);
  info.set_cache_quota_bytes(int64_t{1} << 34);
  info.set_emulated(emulated_);
  info.set_spec_revision(kSpecRevision);
  if (has_modes_) {
    info.set_sets_power_modes(true);
    info.set_power_mode(own_mode_);
    for (const auto& [name, mhz] : {std::pair{kLowMode, 1000}, {kFullMode, 1500}}) {
      v1::PowerMode& mode = *info.add_power_modes();
      mode.set_name(name);
      mode.set_cpu_mhz(mhz);
      mode.set_cores(kCores);
    }
  }
  v1::Label& device = *info.add_labels();
  device.set_key("device");
  device.set_value(info.name());
  v1::Label& half = *info.add_labels();
  half.set_key("half");
  half.set_value(number_ % 2 == 0 ? "even" : "odd");
  if (board_.has_battery()) {
    info.set_battery_capacity_wh(ToWattHours(*board_.settings().battery));
  }
  return info;
}

// A slow world lasts weeks, in which a write each minute would dominate the events.
absl::Duration Worker::StorageProbePeriod() const {
  return std::max(absl::Minutes(1), absl::Seconds(world_.options.heartbeat_seconds));
}

agent::CoreSettings Worker::Settings() const {
  agent::CoreSettings settings;
  settings.info = Describe();
  settings.boot_id = BootId();
  settings.several_coordinators = addresses_.size() > 1;
  settings.takes_releases = !machine_.has_value();
  settings.ledger_period = absl::Seconds(world_.options.ledger_seconds);
  settings.idle_save_period = absl::Seconds(world_.options.idle_save_seconds);
  settings.storage_probe_period = StorageProbePeriod();
  settings.guard = {.has_gauge = board_.has_battery(),
                    .gauge_error = board_.settings().gauge_error,
                    .has_thermometer = true};
  // A real runner reports every two seconds, the simulated one only after each step.
  const absl::Duration step = absl::Seconds(world_.options.step_seconds);
  settings.watch.start = std::max(settings.watch.start, 4.0 * step);
  settings.watch.silence = std::max(settings.watch.silence, 4.0 * step);
  settings.watch.stuck = std::max(settings.watch.stuck, 10.0 * step);
  return settings;
}

}  // namespace wattle::sim
