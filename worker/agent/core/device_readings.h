// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Where the readings of all sources go: power to the energy account, charge and temperature to the
// guard, everything to metrics. Several sources may tell the device's power or charge; the best one
// that answers is used, chosen again with every reading and as time passes. Pure; one thread.
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
#include "units/quantity.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/agent_ports.h"
#include "worker/agent/core/energy_account.h"

namespace wattle::agent {

// One source, as metrics show it.
struct SourceStatus {
  telemetry::SourceInfo info;
  bool is_power_source = false;            // the device's power is this one's now
  std::optional<Monotonic> answered_at{};  // device time
  int64_t errors = 0;
  std::string error{};  // of the latest poll; empty: it answered
  // The latest reading of each channel; absent: none yet.
  std::vector<std::optional<telemetry::Reading>> latest{};
};

class DeviceReadings {
 public:
  // All outlive this object.
  DeviceReadings(AgentCore* core, EnergyAccount* account, AgentPorts* ports)
      : core_(*core), account_(*account), ports_(*ports) {}

  // plausible_max: what the device can draw at most, where that is known better than the source
  // knows it. Returns the source's number.
  size_t Add(const telemetry::SourceInfo& info, std::optional<Watts> plausible_max);

  // What a Poll of the source answered.
  void OnPoll(size_t source, const absl::StatusOr<std::vector<telemetry::Reading>>& readings,
              Monotonic now);
  // Time passes: a source that is silent is replaced. A device without any source of power is taken
  // to draw what was predicted for its attempt, and the receipt says so.
  void AdvanceTo(Monotonic now);

  [[nodiscard]] bool measures_power() const { return measures_power_; }
  [[nodiscard]] const std::vector<SourceStatus>& sources() const { return status_; }

 private:
  struct Entry {
    telemetry::MeterSettings meter;
    std::optional<size_t> power;  // its number among the sources of power
    std::optional<size_t> gauge;  // its number among the gauges
    std::optional<telemetry::Timed<Celsius>> hottest;
  };
  void TakeTotals(size_t source, const std::vector<telemetry::Reading>& readings);
  void TakeRest(size_t source, const std::vector<telemetry::Reading>& readings);
  void ChoosePower(Monotonic now);

  AgentCore& core_;
  EnergyAccount& account_;
  AgentPorts& ports_;
  std::vector<Entry> entries_;
  std::vector<SourceStatus> status_;
  telemetry::Chooser power_chooser_;
  telemetry::Chooser gauge_chooser_;
  std::vector<size_t> power_sources_;  // by number among them
  std::optional<size_t> chosen_;       // a source
  bool measures_power_ = false;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_DEVICE_READINGS_H_
