// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Distributes the readings of all sources: power to the energy account, charge and temperature to
// the guard, everything to the metrics. Several sources may measure the device's power or its
// charge. The best source that answers is used; every reading and the passing of time may change
// the choice. A source that is stuck (telemetry/sensors/stuck.h) counts as one that does not
// answer. Pure; use it from one thread.
#ifndef WATTLE_WORKER_AGENT_CORE_DEVICE_READINGS_H_
#define WATTLE_WORKER_AGENT_CORE_DEVICE_READINGS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "telemetry/sensors/chooser.h"
#include "telemetry/sensors/source.h"
#include "telemetry/sensors/stuck.h"
#include "units/quantity.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/agent_ports.h"
#include "worker/agent/core/energy_account.h"

namespace wattle::agent {

// One source, for the metrics.
struct SourceStatus {
  telemetry::SourceInfo info;
  bool is_power_source = false;            // the device's power now comes from this source
  std::optional<Monotonic> answered_at{};  // device time
  int64_t errors = 0;
  std::string error{};  // of the latest poll; empty if the source answered
  // One sentence for people while the source's power, or its charge, is stuck; else empty.
  std::string stuck_power{};
  std::string stuck_charge{};
  // The latest reading of each channel; absent until the first one.
  std::vector<std::optional<telemetry::Reading>> latest{};
};

class DeviceReadings {
 public:
  // All three must outlive this object.
  DeviceReadings(AgentCore* core, EnergyAccount* account, AgentPorts* ports)
      : core_(*core), account_(*account), ports_(*ports) {}

  // plausible_max: an upper bound of the device's power, if a better one than the source's is known
  // for the board. Returns the source's number.
  size_t Add(const telemetry::SourceInfo& info, std::optional<Watts> plausible_max);

  // Takes the answer of a poll of the source.
  void OnPoll(size_t source, const absl::StatusOr<std::vector<telemetry::Reading>>& readings,
              Monotonic now);
  // Replaces a source that has fallen silent. Without any source of power the account uses the
  // power predicted for the attempt, and the receipt says so.
  void AdvanceTo(Monotonic now);

  [[nodiscard]] bool measures_power() const { return measures_power_; }
  [[nodiscard]] const std::vector<SourceStatus>& sources() const { return status_; }

 private:
  // The readings of a total that were taken at one time. The total is complete or absent.
  struct Total {
    Monotonic at;
    Watts power{};
    std::vector<telemetry::CounterValue> counters{};
    size_t channels = 0;
  };
  struct Entry {
    telemetry::MeterSettings meter;
    telemetry::StuckPower stuck_power;
    telemetry::StuckCharge stuck_charge;
    std::optional<telemetry::Timed<Watts>> told{};      // the total's latest power
    std::optional<telemetry::Timed<Joules>> counted{};  // the last total, of counters
    Joules drawn_before{};          // by the device, at the last reading of the gauge
    std::optional<size_t> power{};  // its number among the sources of power
    std::optional<size_t> gauge{};  // its number among the gauges
    std::optional<telemetry::Timed<Celsius>> hottest{};
    std::optional<Celsius> throttles_at{};  // of the hottest channel
    std::optional<Monotonic> implausible_noted_at{};
  };
  static std::vector<Total> TotalsOf(const telemetry::SourceInfo& info,
                                     const std::vector<telemetry::Reading>& readings);
  void TakeTotals(size_t source, const std::vector<telemetry::Reading>& readings);
  // Notes that a reading of the source was not counted. A sensor that continues like this is noted
  // every ten minutes.
  void NoteImplausible(size_t source, Monotonic at, const std::string& value);
  // Whether the source's power is credible, given this total.
  bool TrustsPower(size_t source, const Total& total);
  bool TrustsCharge(size_t source, Monotonic at, const telemetry::ChargeState& charge);
  // The best other source of power that answers.
  [[nodiscard]] std::optional<telemetry::StuckPower::Other> OtherPower(size_t source,
                                                                       Monotonic at) const;
  // Notes the beginning and the end of a time in which the source is stuck.
  void SetStuck(size_t source, std::string& stuck, const std::string& why);
  // Passes sentences for people about stuck sensors and the supply to the core's heartbeats.
  void TellWarning();
  void TakeUnderVoltage(Monotonic at, bool now);
  void TakeCharge(const telemetry::SourceInfo& info, Monotonic at,
                  const telemetry::ChargeState& charge);
  void TakeRest(size_t source, const std::vector<telemetry::Reading>& readings);
  void ChoosePower(Monotonic now);

  AgentCore& core_;
  EnergyAccount& account_;
  AgentPorts& ports_;
  std::vector<Entry> entries_;
  std::vector<SourceStatus> status_;
  telemetry::Chooser power_chooser_;
  telemetry::Chooser gauge_chooser_;
  std::vector<size_t> power_sources_;  // number among the sources of power → source
  std::optional<size_t> chosen_;       // a source
  bool measures_power_ = false;
  std::optional<Monotonic> under_voltage_at_;  // the latest, while it is shown
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_DEVICE_READINGS_H_
