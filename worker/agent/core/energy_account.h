// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whose joules: what the meter measures goes to the activity of the time it was measured in, to the
// attempt that held the device then, and to the device's cumulative ledger. Activities change at
// known instants of device time, also ahead of now (an emulated board's schedule). Pure; one
// thread.
#ifndef WATTLE_WORKER_AGENT_CORE_ENERGY_ACCOUNT_H_
#define WATTLE_WORKER_AGENT_CORE_ENERGY_ACCOUNT_H_

#include <array>
#include <cstddef>
#include <deque>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"
#include "telemetry/meter/energy_meter.h"
#include "telemetry/sensors/sensor.h"
#include "units/quantity.h"
#include "wattle/v1/energy.pb.h"

namespace wattle::agent {

enum class Activity {
  kIdle,
  kFetch,
  kStart,       // of the runner: process, model load
  kRun,         // the work that was asked for
  kEvaluate,    // held-out loss of a training job: not part of the run
  kCheckpoint,  // also the result's files
  kUpload,
  kPaused,       // an attempt is held, nothing is done for it
  kWaitForHost,  // emulation: the device would be done, this machine is not
};
inline constexpr size_t kActivities = 9;

// What an attempt has taken so far.
struct AttemptEnergy {
  telemetry::EnergySpan run;
  telemetry::EnergySpan total;  // run and all that surrounds it, without pauses
  std::array<absl::Duration, kActivities> time{};

  [[nodiscard]] absl::Duration In(Activity activity) const {
    return time[static_cast<size_t>(activity)];
  }
};

// Where the figures come from, for receipts.
struct EnergyOrigin {
  telemetry::EnergySource source = telemetry::EnergySource::kModel;
  std::string scope = "estimated";
};

class EnergyAccount {
 public:
  // refresh_period: the sensor's. start: device time now. ledger, idle: kept from earlier runs of
  // the process.
  EnergyAccount(absl::Duration refresh_period, Monotonic start, const v1::EnergyLedger& ledger,
                telemetry::IdleBaseline idle);

  // From `from` on the device does this. Changes set earlier for `from` or later are taken back;
  // what is settled stays (`from` is moved up to there).
  void SetActivity(Monotonic from, Activity activity);
  [[nodiscard]] Activity activity() const { return current_; }

  void AddReading(Monotonic at, const telemetry::PowerReading& reading);
  void AddTemperature(Celsius temperature);
  // Settles all up to `at`: later readings count from there.
  void AdvanceTo(Monotonic at);

  // Attempts come one after the other. energy: of the same attempt, before a restart.
  void BeginAttempt(const AttemptEnergy& energy);
  // The process was not there for `lost`: missing, up to the peak's energy.
  void AddLost(absl::Duration lost);
  [[nodiscard]] const AttemptEnergy& attempt() const { return attempt_; }
  void EndAttempt() { attempt_held_ = false; }

  [[nodiscard]] v1::EnergyLedger ledger() const { return ledger_; }
  [[nodiscard]] Joules total() const;  // that the device measured since its identity was made
  [[nodiscard]] const telemetry::IdleBaseline& idle() const { return idle_; }
  [[nodiscard]] std::optional<Watts> power() const { return meter_.power(); }
  [[nodiscard]] absl::Duration gap_limit() const { return meter_.gap_limit(); }

 private:
  struct Change {
    Monotonic from;
    Activity activity = Activity::kIdle;
  };
  void PassTime(Monotonic to);
  void Credit(const telemetry::EnergyIncrement& increment);

  telemetry::EnergyMeter meter_;
  Monotonic settled_;
  Activity current_ = Activity::kIdle;
  Monotonic current_since_;
  std::deque<Change> changes_;  // ahead of settled_
  bool attempt_held_ = false;
  AttemptEnergy attempt_;
  v1::EnergyLedger ledger_;
  telemetry::IdleBaseline idle_;
};

// A span as a receipt has it, and back (after a restart).
v1::EnergyMeasurement ToProto(const telemetry::EnergySpan& span, std::optional<Watts> idle,
                              const EnergyOrigin& origin);
telemetry::EnergySpan FromProto(const v1::EnergyMeasurement& measurement);
v1::EnergySource ToProto(telemetry::EnergySource source);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_ENERGY_ACCOUNT_H_
