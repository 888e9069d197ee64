// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/export/device_metrics.h"

#include <string>

namespace wattle::telemetry {

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
  const MetricLabels device = DeviceLabels(info);
  if (heartbeat.has_power()) {
    page.Gauge("wattle_device_power_watts", "Power that the device draws, latest sample.",
               MeasuredLabels(info, source), heartbeat.power_watts());
  }
  if (has_power_sensor) {
    page.Counter("wattle_device_energy_joules_total",
                 "Energy measured since the device's identity was made.",
                 MeasuredLabels(info, source), heartbeat.energy_joules_total());
  }
  if (heartbeat.has_battery()) {
    page.Gauge("wattle_device_battery_charge_ratio", "State of charge, 0 to 1.", device,
               heartbeat.state_of_charge_ratio());
  }
  if (heartbeat.has_battery() && heartbeat.gauge_error_ratio() > 0) {
    page.Gauge("wattle_device_battery_charge_error_ratio",
               "By how much the state of charge may be off, as a share of the capacity.", device,
               heartbeat.gauge_error_ratio());
  }
  if (heartbeat.has_battery_power()) {
    page.Gauge("wattle_device_battery_power_watts",
               "Power into the battery; below 0 it discharges.", device,
               heartbeat.battery_power_watts());
  }
  if (heartbeat.seconds_to_empty() > 0) {
    page.Gauge("wattle_device_battery_time_to_empty_seconds",
               "At the present power; absent while it charges.", device,
               heartbeat.seconds_to_empty());
  }
  if (heartbeat.seconds_to_full() > 0) {
    page.Gauge("wattle_device_battery_time_to_full_seconds",
               "By what each hour of the day has brought; absent where it would take weeks.",
               device, heartbeat.seconds_to_full());
  }
  if (heartbeat.has_temperature()) {
    page.Gauge("wattle_device_temperature_celsius", "The hottest zone.", device,
               heartbeat.temperature_celsius());
  }
  if (heartbeat.idle_power_watts() > 0) {
    page.Gauge("wattle_device_idle_power_watts", "Measured draw when nothing runs.", device,
               heartbeat.idle_power_watts());
  }
  page.Gauge("wattle_device_time_scale_ratio", "Wall seconds per device second; 1 on a real one.",
             device, info.time_scale());
  page.Gauge("wattle_worker_guard_holding", "1 while a policy keeps work from running.", device,
             heartbeat.guard_reason().empty() ? 0 : 1);
  page.Gauge("wattle_worker_cache_bytes", "Artifacts on this device.", device,
             static_cast<double>(heartbeat.cache_used_bytes()));
  if (heartbeat.disk_free_bytes() > 0) {
    page.Gauge("wattle_worker_disk_free_bytes", "Free space where the worker keeps its state.",
               device, static_cast<double>(heartbeat.disk_free_bytes()));
  }
}

}  // namespace wattle::telemetry
