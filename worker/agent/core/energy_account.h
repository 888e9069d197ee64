// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// EnergyAccount attributes measured energy: to the activity during which it was measured, to the
// attempt that held the device at that time, and to the device's cumulative ledger. Activities
// change at known instants of device time, which may lie in the future (an emulated board's
// schedule). Time is counted as it passes. Energy is counted when a reading arrives, for the time
// before the reading. Pure; use it from one thread.
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
  kStart,       // the runner's process starts and loads the model
  kRun,         // the job's own work
  kEvaluate,    // held-out loss of a training job; not part of the run
  kCheckpoint,  // also writing the result's files
  kUpload,
  kPaused,  // an attempt is held, but nothing is done for it
};
inline constexpr size_t kActivities = 8;

// The source of a receipt's figures.
struct EnergyOrigin {
  v1::EnergySource source = v1::ENERGY_SOURCE_MODEL;
  std::string scope = "estimated";

  friend bool operator==(const EnergyOrigin&, const EnergyOrigin&) = default;
};

// An attempt's energy and time so far.
struct AttemptEnergy {
  telemetry::EnergySpan run;
  telemetry::EnergySpan total;  // the run and everything around it, without pauses
  std::array<absl::Duration, kActivities> time{};
  std::array<Joules, kActivities> energy{};  // the measured part
  // The sources that measured the attempt, and the time that each source covered.
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
  // start: device time now. ledger, idle: from earlier processes.
  EnergyAccount(const telemetry::MeterSettings& settings, EnergyOrigin origin, Monotonic start,
                const v1::EnergyLedger& ledger, telemetry::IdleBaseline idle);

  // Changes the source of power; later readings come from the new source.
  void SwitchSource(const telemetry::MeterSettings& settings, EnergyOrigin origin);
  [[nodiscard]] const EnergyOrigin& origin() const { return origin_; }

  // The device does `activity` from `from` on. Changes set earlier for `from` or later are
  // withdrawn. Time that has already passed keeps its activity: `from` is moved up to the present.
  void SetActivity(Monotonic from, Activity activity);
  [[nodiscard]] Activity activity() const { return current_; }

  // Readings of the present source; see EnergyMeter.
  void AddPower(Monotonic at, Watts power);
  void AddCounters(Monotonic at, absl::Span<const telemetry::CounterValue> counters);
  void AddTemperature(Celsius temperature);
  // Whether the device throttled since the last call. Call it only if a source reports throttling.
  void AddThrottling(Monotonic at, bool throttled);

  // Accepts the readings so far: the source's value has moved.
  void Trust();
  // The source has repeated one value since the last Trust, and was stuck. Its measurements in that
  // time are missing in the attempt, and do not affect idle power or prices. The ledger keeps these
  // joules, because its sums never go back.
  void TakeBack();

  // Counts time up to `at`. If the source has been silent for too long, the time is counted as
  // missing.
  void AdvanceTo(Monotonic at);
  // Whether the next reading will supply the energy up to `at`, which is not known yet.
  [[nodiscard]] bool AwaitsReading(Monotonic at) const;
  // Ends the wait for readings: energy up to `at` that is not settled counts as missing.
  void Settle(Monotonic at);
  // Energy is credited up to this instant.
  [[nodiscard]] Monotonic settled() const { return meter_.settled(); }

  // Begins an attempt; attempts follow one another. energy: the attempt's consumption before a
  // restart.
  void BeginAttempt(const AttemptEnergy& energy);
  // The process did not run for `lost`: that time counts as missing.
  void AddLost(absl::Duration lost);
  [[nodiscard]] const AttemptEnergy& attempt() const { return attempt_; }
  // The source that covered most of the attempt's time.
  [[nodiscard]] EnergyOrigin AttemptOrigin() const;
  void EndAttempt() { attempt_held_ = false; }

  [[nodiscard]] v1::EnergyLedger ledger() const;
  // The energy of work since the process started, with an upper estimate for gaps, as budgets count
  // it.
  [[nodiscard]] Joules work_energy() const { return work_energy_; }
  [[nodiscard]] Joules total() const;  // measured since the device got its identity
  // Number of impossible readings since the device got its identity.
  [[nodiscard]] int64_t implausible_readings() const {
    return ledger_.implausible_readings() + meter_.implausible_readings();
  }
  [[nodiscard]] const telemetry::IdleBaseline& idle() const { return idle_; }
  // The highest recent power during work (telemetry::RecentPeak); absent until work was measured.
  [[nodiscard]] std::optional<Watts> working_peak() const { return working_peak_.power(); }
  // Power of the latest reading; absent while the source is silent.
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
  // For time: the activity at passed_, and later changes.
  Monotonic passed_;
  Activity current_ = Activity::kIdle;
  std::deque<Change> changes_;
  // For energy: the activity at meter_.settled(), its beginning, and later changes.
  Activity metered_ = Activity::kIdle;
  Monotonic metered_since_;
  std::deque<Change> marks_;

  // Values learned from readings, which are reverted if the readings prove not to be measurements.
  struct Learned {
    AttemptEnergy attempt{};
    telemetry::IdleBaseline idle{};
    telemetry::RecentPeak working_peak{};
    telemetry::RecentPeak resting_peak{};
  };

  bool attempt_held_ = false;
  AttemptEnergy attempt_;
  Learned trusted_;  // at the last Trust
  std::optional<Monotonic> throttling_at_;
  v1::EnergyLedger ledger_;
  Joules work_energy_;
  telemetry::IdleBaseline idle_;
  telemetry::RecentPeak working_peak_;
  telemetry::RecentPeak resting_peak_;
};

// A span in the form of a receipt, and back (after a restart).
v1::EnergyMeasurement ToProto(const telemetry::EnergySpan& span, std::optional<Watts> idle,
                              const EnergyOrigin& origin);
telemetry::EnergySpan FromProto(const v1::EnergyMeasurement& measurement);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_ENERGY_ACCOUNT_H_
