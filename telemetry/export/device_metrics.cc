// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/export/device_metrics.h"

#include <optional>
#include <string>

#include "absl/strings/match.h"

namespace wattle::telemetry {
namespace {

// One metric of a heartbeat. Its unit is the end of its name; a name that ends with _total is a
// counter's.
struct HeartbeatMetric {
  const char* name = "";
  const char* help = "";
  std::optional<double> value;  // nullopt: unknown, so not shown
  bool names_source = false;    // with the labels source and emulated
};

std::optional<double> If(bool known, double value) {
  return known ? std::optional<double>(value) : std::nullopt;
}

std::optional<double> IfAbove0(double value) {
  return If(value > 0, value);
}

double KelvinPerWatt(const v1::HeatModel& model) {
  double sum = 0;
  for (const v1::HeatStage& stage : model.stages()) {
    sum += stage.kelvin_per_watt();
  }
  return sum;
}

}  // namespace

MetricLabels DeviceLabels(const v1::DeviceInfo& info) {
  return {{"device", info.name()},
          {"device_id", info.device_id()},
          {"device_class", info.device_class()}};
}

MetricLabels MeasuredLabels(const v1::DeviceInfo& info, absl::string_view source) {
  MetricLabels labels = DeviceLabels(info);
  labels.emplace_back("source", std::string(source));
  labels.emplace_back("emulated", info.emulated() ? "true" : "false");
  return labels;
}

void AddHeartbeat(const v1::DeviceInfo& info, const v1::Heartbeat& heartbeat,
                  absl::string_view source, bool has_power_sensor, MetricsPage& page) {
  const HeartbeatMetric metrics[] = {
      {"wattle_device_power_watts", "Power that the device draws, latest sample.",
       If(heartbeat.has_power(), heartbeat.power_watts()), true},
      {"wattle_device_energy_joules_total", "Energy measured since the device's identity was made.",
       If(has_power_sensor, heartbeat.energy_joules_total()), true},
      {"wattle_device_battery_charge_ratio", "State of charge, 0 to 1.",
       If(heartbeat.has_battery(), heartbeat.state_of_charge_ratio())},
      {"wattle_device_battery_charge_error_ratio",
       "By how much the state of charge may be off, as a share of the capacity.",
       heartbeat.has_battery() ? IfAbove0(heartbeat.gauge_error_ratio()) : std::nullopt},
      {"wattle_device_battery_power_watts", "Power into the battery; below 0 it discharges.",
       If(heartbeat.has_battery_power(), heartbeat.battery_power_watts())},
      {"wattle_device_battery_time_to_empty_seconds",
       "At the present power; absent while it charges.", IfAbove0(heartbeat.seconds_to_empty())},
      {"wattle_device_battery_time_to_full_seconds",
       "By what each hour of the day has brought; absent where it would take weeks.",
       IfAbove0(heartbeat.seconds_to_full())},
      {"wattle_device_temperature_celsius", "The hottest zone.",
       If(heartbeat.has_temperature(), heartbeat.temperature_celsius())},
      {"wattle_device_heat_kelvin_per_watt",
       "By how much each watt warms the board in the end; absent until its samples tell it.",
       IfAbove0(KelvinPerWatt(heartbeat.heat_model()))},
      {"wattle_device_throttle_celsius", "Where the board slows down by itself.",
       IfAbove0(heartbeat.heat_model().throttle_celsius())},
      {"wattle_device_idle_power_watts", "Measured draw when nothing runs.",
       IfAbove0(heartbeat.idle_power_watts())},
      {"wattle_device_time_scale_ratio", "Wall seconds per device second; 1 on a real one.",
       info.time_scale()},
      {"wattle_worker_guard_holding", "1 while a policy keeps work from running.",
       heartbeat.guard_reason().empty() ? 0 : 1},
      {"wattle_worker_storage_sick", "1 while the worker's disk takes no writes.",
       heartbeat.storage_problem().empty() ? 0 : 1},
      {"wattle_worker_memory_short", "1 while all programs of the board wait for memory.",
       heartbeat.memory_problem().empty() ? 0 : 1},
      {"wattle_worker_cache_bytes", "Artifacts on this device.",
       static_cast<double>(heartbeat.cache_used_bytes())},
      {"wattle_worker_disk_free_bytes", "Free space where the worker keeps its state.",
       IfAbove0(static_cast<double>(heartbeat.disk_free_bytes()))},
  };
  const MetricLabels device = DeviceLabels(info);
  const MetricLabels measured = MeasuredLabels(info, source);
  for (const HeartbeatMetric& metric : metrics) {
    if (!metric.value.has_value()) {
      continue;
    }
    const MetricLabels& labels = metric.names_source ? measured : device;
    if (absl::EndsWith(metric.name, "_total")) {
      page.Counter(metric.name, metric.help, labels, *metric.value);
    } else {
      page.Gauge(metric.name, metric.help, labels, *metric.value);
    }
  }
}

}  // namespace wattle::telemetry
