// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whose joules: what the meter measures goes to the activity of the time it was measured in, to the
// attempt that held the device then, and to the device's cumulative ledger. Activities change at
// known instants of device time, also ahead of now (an emulated board's schedule). Time is counted
// as it passes; energy is counted when a reading comes, for the time before the reading. Pure; one
// thread.
#ifndef WATTLE_WORKER_AGENT_CORE_ENERGY_ACCOUNT_H_
#define WATTLE_WORKER_AGENT_CORE_ENERGY_ACCOUNT_H_

#include <array>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

#include "base/clock.h"
#include "telemetry/meter/baseline.h"
#include "telemetry/meter/energy_meter.h"
#include "telemetry/meter/energy_span.h"
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

// Where figures come from, for receipts.
struct EnergyOrigin {
  v1::EnergySource source = v1::ENERGY_SOURCE_MODEL;
  std::string scope = "estimated";

  friend bool operator==(const EnergyOrigin&, const EnergyOrigin&) = default;
};

// What an attempt has taken so far.
struct AttemptEnergy {
  telemetry::EnergySpan run;
  telemetry::EnergySpan total;  // run and all that surrounds it, without pauses
  std::array<absl::Duration, kActivities> time{};
  std::array<Joules, kActivities> energy{};  // measured part
  // The sources that measured it, with the time that each of them covered.
  std::vector<std::pair<EnergyOrigin, absl::Duration>> origins{};

  [[nodiscard]] absl::Duration In(Activity activity) const {
    return time[static_cast<size_t>(activity)];
  }
  [[nodiscard]] Joules EnergyIn(Activity activity) const {
    return energy[static_cast<size_t>(activity)];
  }
};

class EnergyAccount {
 public:
  // start: device time now. ledger, idle: kept from earlier runs of the process.
  EnergyAccount(const telemetry::MeterSettings& settings, EnergyOrigin origin, Monotonic start,
                const v1::EnergyLedger& ledger, telemetry::IdleBaseline idle);

  // From now on another source measures.
  void SwitchSource(const telemetry::MeterSettings& settings, EnergyOrigin origin);
  [[nodiscard]] const EnergyOrigin& origin() const { return origin_; }

  // From `from` on the device does this. Changes set earlier for `from` or later are taken back.
  // Time that has passed stays as it was: `from` is moved up to there.
  void SetActivity(Monotonic from, Activity activity);
  [[nodiscard]] Activity activity() const { return current_; }

  // Readings of the present source, as EnergyMeter takes them.
  void AddPower(Monotonic at, Watts power);
  void AddCounters(Monotonic at, absl::Span<const telemetry::CounterValue> counters);
  void AddTemperature(Celsius temperature);
  // Whether the device throttled in the time since the last call, as something that can tell says.
  void AddThrottling(Monotonic at, bool throttled);

  // Time passes. Where the source has been silent for too long, its time is missing.
  void AdvanceTo(Monotonic at);
  // Whether the energy up to `at` is not known yet but will be with the next reading.
  [[nodiscard]] bool AwaitsReading(Monotonic at) const;
  // Waits for no reading any more: what is not settled up to `at` is missing.
  void Settle(Monotonic at);
  // Up to here energy is credited.
  [[nodiscard]] Monotonic settled() const { return meter_.settled(); }

  // Attempts come one after the other. energy: of the same attempt, before a restart.
  void BeginAttempt(const AttemptEnergy& energy);
  // The process was not there for `lost`: missing.
  void AddLost(absl::Duration lost);
  [[nodiscard]] const AttemptEnergy& attempt() const { return attempt_; }
  // The source that covered most of the attempt's time.
  [[nodiscard]] EnergyOrigin AttemptOrigin() const;
  void EndAttempt() { attempt_held_ = false; }

  [[nodiscard]] v1::EnergyLedger ledger() const;
  // What work has drawn since the process started, an upper estimate for its gaps included: what a
  // budget counts.
  [[nodiscard]] Joules work_energy() const { return work_energy_; }
  [[nodiscard]] Joules total() const;  // that the device measured since its identity was made
  [[nodiscard]] const telemetry::IdleBaseline& idle() const { return idle_; }
  // The highest power of the last while under work; absent: no work was measured yet.
  [[nodiscard]] std::optional<Watts> working_peak() const { return working_peak_.power(); }
  // As of the latest reading; absent while the source is silent.
  [[nodiscard]] std::optional<Watts> power() const { return meter_.power(); }

 private:
  struct Change {
    Monotonic from;
    Activity activity = Activity::kIdle;
  };
  [[nodiscard]] std::vector<Monotonic> MarksBefore(Monotonic at) const;
  void Credit(const std::vector<telemetry::EnergyIncrement>& increments);
  void CreditPiece(const telemetry::EnergyIncrement& increment);
  void LearnIdle(Monotonic at);
  void PassTime(Monotonic to);
  [[nodiscard]] Watts GapPrice(bool working) const;

  telemetry::EnergyMeter meter_;
  EnergyOrigin origin_;
  // Time: what the device does at passed_, and the changes after it.
  Monotonic passed_;
  Activity current_ = Activity::kIdle;
  std::deque<Change> changes_;
  // Energy: what it did at meter_.settled(), since when, and the changes after it.
  Activity metered_ = Activity::kIdle;
  Monotonic metered_since_;
  std::deque<Change> marks_;

  bool attempt_held_ = false;
  AttemptEnergy attempt_;
  std::optional<Monotonic> throttling_at_;
  v1::EnergyLedger ledger_;
  Joules work_energy_;
  telemetry::IdleBaseline idle_;
  telemetry::RecentPeak working_peak_;
  telemetry::RecentPeak resting_peak_;
};

// A span as a receipt has it, and back (after a restart).
v1::EnergyMeasurement ToProto(const telemetry::EnergySpan& span, std::optional<Watts> idle,
                              const EnergyOrigin& origin);
telemetry::EnergySpan FromProto(const v1::EnergyMeasurement& measurement);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_ENERGY_ACCOUNT_H_
