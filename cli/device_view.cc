// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/fleet_view.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "policy/limits.h"
#include "policy/selector.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

// The reasons why the device takes no work, the most severe first; "" if there is none.
std::string Reason(const v1::Device& device) {
  const std::string held = OwnerHoldWords(device);
  return !device.problem().empty()                        ? device.problem()
         : !device.heartbeat().power_off_reason().empty() ? device.heartbeat().power_off_reason()
         : !device.heartbeat().storage_problem().empty()  ? device.heartbeat().storage_problem()
         : !device.heartbeat().memory_problem().empty()   ? device.heartbeat().memory_problem()
         : !device.drain_reason().empty()                 ? device.drain_reason()
         : !held.empty()                                  ? held
                                                          : device.heartbeat().guard_reason();
}

std::string Temperature(const v1::Heartbeat& heartbeat) {
  return heartbeat.has_temperature() ? FormatTemperature(Celsius(heartbeat.temperature_celsius()))
                                     : "";
}

std::string Joined(absl::string_view separator,
                   const google::protobuf::RepeatedPtrField<v1::Label>& labels) {
  return absl::StrJoin(labels, separator, [](std::string* out, const v1::Label& label) {
    absl::StrAppend(out, label.key(), label.value().empty() ? "" : "=", label.value());
  });
}

void AddLedger(const v1::Device& device, std::string* out) {
  if (!device.has_ledger()) {
    return;
  }
  const v1::EnergyLedger& ledger = device.ledger();
  const auto energy = [](double joules) { return FormatEnergy(Joules(joules)); };
  AppendField(
      "energy",
      absl::StrCat(energy(ledger.attempt_energy_joules()), " in attempts, ",
                   energy(ledger.idle_energy_joules()), " idle, ",
                   energy(ledger.overhead_energy_joules()), " overhead (",
                   EvidenceWord(device.info().energy_source(), device.info().emulated()), ")"),
      out);
  if (ledger.missing_energy_joules() > 0.0) {
    AppendField("",
                absl::StrCat("at most ", energy(ledger.missing_energy_joules()),
                             " more without samples (model)"),
                out);
  }
}

// "24.0 GiB of its own"; "" if no GPU reports its memory.
std::string GpuMemoryWords(const v1::DeviceInfo& info) {
  if (info.accelerator_total_bytes() <= 0) {
    return "";
  }
  return info.accelerator_shares_memory()
             ? "the board's"
             : absl::StrCat(FormatBytes(info.accelerator_total_bytes()), " of its own");
}

void AddHardware(const v1::DeviceInfo& info, std::string* out) {
  AppendField("board", info.board(), out);
  AppendField(
      "cores",
      absl::StrCat(info.cores(), " ", info.architecture(), info.accelerator().empty() ? "" : ", ",
                   info.accelerator(), info.offers_cpu() ? " or CPU" : ""),
      out);
  AppendField("memory", info.memory_bytes() == 0 ? "" : FormatBytes(info.memory_bytes()), out);
  AppendField("GPU memory", GpuMemoryWords(info), out);
  AppendField("power mode", info.power_mode(), out);
  v1::EnergyMeasurement meter;
  meter.set_source(info.energy_source());
  meter.set_scope(info.energy_scope());
  AppendField("energy from", EnergySourceWords(meter, info.emulated()), out);
  AppendField("battery",
              info.battery_capacity_wh() == 0.0
                  ? ""
                  : absl::StrFormat("%.1f Wh", info.battery_capacity_wh()),
              out);
  AppendField("labels", Joined(", ", info.labels()), out);
  AppendField("isolation", info.isolation(), out);
  AppendField("worker", info.worker_version(), out);
  AppendField("engine", info.engine_version(), out);
  AppendField("metrics", info.pushes_metrics() ? "pushed" : info.metrics_address(), out);
}

// "" if none of these values is known.
std::string BatteryWords(const v1::Heartbeat& heartbeat) {
  std::vector<std::string> words;
  if (heartbeat.has_battery_power()) {
    const double watts = heartbeat.battery_power_watts();
    words.push_back(
        absl::StrCat(FormatPower(Watts(std::abs(watts))), watts < 0.0 ? " out" : " in"));
  }
  if (heartbeat.seconds_to_empty() > 0.0) {
    words.push_back(
        absl::StrCat("empty in ", FormatElapsed(absl::Seconds(heartbeat.seconds_to_empty()))));
  }
  if (heartbeat.seconds_to_full() > 0.0) {
    words.push_back(
        absl::StrCat("full in ", FormatElapsed(absl::Seconds(heartbeat.seconds_to_full()))));
  }
  return absl::StrJoin(words, ", ");
}

// Mean watts of each hour of the day; "" if no hour was observed yet.
std::string HarvestWords(const v1::EnergyLedger& ledger) {
  std::vector<std::string> hours;
  bool any = false;
  for (const double watts : ledger.harvest_power_watts_by_hour()) {
    any = any || watts >= 0.0;
    hours.push_back(watts < 0.0 ? "-" : absl::StrFormat("%.1f", watts));
  }
  return any ? absl::StrCat(absl::StrJoin(hours, " "), " W, by hour of the day (UTC)") : "";
}

// Smaller differences may be the travel time of a heartbeat.
constexpr double kClockDifferenceShownSeconds = 10.0;

// "" if the device's clock agrees with the coordinator's, or no difference is known.
std::string ClockDifference(const v1::Device& device) {
  if (device.heartbeat().unix_seconds() <= 0.0 || device.last_seen_unix_seconds() <= 0.0) {
    return "";
  }
  const double ahead_seconds = device.heartbeat().unix_seconds() - device.last_seen_unix_seconds();
  return std::abs(ahead_seconds) < kClockDifferenceShownSeconds
             ? ""
             : absl::StrCat(FormatElapsed(absl::Seconds(std::abs(ahead_seconds))),
                            ahead_seconds > 0.0 ? " ahead of" : " behind", " the coordinator's");
}

// "7.2 K/W, settles in 14 min 00 s, throttles at 80 °C; error 0.6 K"; "" if unknown.
std::string HeatWords(const v1::HeatModel& model) {
  // After three time constants, 95 % of the change has happened.
  constexpr double kSettles = 3.0;
  double kelvin_per_watt = 0.0;
  double slowest = 0.0;
  for (const v1::HeatStage& stage : model.stages()) {
    kelvin_per_watt += stage.kelvin_per_watt();
    slowest = std::max(slowest, stage.time_constant_seconds());
  }
  if (kelvin_per_watt <= 0.0) {
    return "";
  }
  return absl::StrCat(absl::StrFormat("%.1f K/W, settles in ", kelvin_per_watt),
                      FormatElapsed(absl::Seconds(kSettles * slowest)),
                      model.throttle_celsius() > 0.0
                          ? absl::StrFormat(", throttles at %.0f °C", model.throttle_celsius())
                          : "",
                      absl::StrFormat("; error %.1f K", model.error_kelvin()));
}

// The source of the device's time, and its error.
std::string ClockWords(const v1::Device& device) {
  const v1::Heartbeat& heartbeat = device.heartbeat();
  const std::string within = absl::StrFormat(", within %.2g s", heartbeat.clock_error_seconds());
  std::string words;
  switch (heartbeat.clock_source()) {
    case v1::CLOCK_SOURCE_KERNEL:
      words = absl::StrCat("kept by a time service", within);
      break;
    case v1::CLOCK_SOURCE_COORDINATOR:
      words = absl::StrCat("told by the coordinator", within);
      break;
    case v1::CLOCK_SOURCE_FLOOR:
    case v1::CLOCK_SOURCE_UNKNOWN:
      words =
          "the time is not known since the board started; on the board: timedatectl set-ntp true";
      break;
    default:
      break;  // an older worker
  }
  const std::string difference = ClockDifference(device);
  return absl::StrCat(words, !words.empty() && !difference.empty() ? "; " : "", difference);
}

std::string RateWords(const char* what, double bytes_per_second) {
  return absl::StrCat(what, " ", FormatBytes(static_cast<int64_t>(bytes_per_second)), "/s");
}

// The device's measurements of its link; "" before the first transfer.
std::string LinkWords(const v1::LinkMeasure& link) {
  std::vector<std::string> words;
  if (link.download_bytes_per_second() > 0.0) {
    words.push_back(absl::StrCat(
        RateWords("fetches", link.download_bytes_per_second()), " (one in ten below ",
        FormatBytes(static_cast<int64_t>(link.download_bytes_per_second_low())), "/s)"));
  }
  if (link.upload_bytes_per_second() > 0.0) {
    words.push_back(RateWords("uploads", link.upload_bytes_per_second()));
  }
  if (link.round_trip_seconds() > 0.0) {
    words.push_back(absl::StrFormat("round trip %.2g s", link.round_trip_seconds()));
  }
  double sum = 0;
  int hours = 0;
  for (const float ratio : link.contact_ratio_by_hour()) {
    sum += ratio < 0 ? 0 : static_cast<double>(ratio);
    hours += ratio < 0 ? 0 : 1;
  }
  if (hours > 0) {
    words.push_back(absl::StrFormat("contact %.3g %% of the time, seen in %d hours of the week",
                                    100 * sum / hours, hours));
  }
  return absl::StrJoin(words, ", ");
}

// All bytes so far; "" for an older worker.
std::string LinkBytesWords(const v1::LinkBytes& bytes) {
  std::vector<std::string> words;
  const auto add = [&](const char* purpose, int64_t size) {
    if (size > 0) {
      words.push_back(absl::StrCat(purpose, " ", FormatBytes(size)));
    }
  };
  add("fetched", bytes.fetched());
  add("uploaded", bytes.uploaded());
  add("heartbeats", bytes.heartbeats());
  add("reports", bytes.reports());
  add("metrics", bytes.metrics());
  add("logs", bytes.logs());
  add("other", bytes.other());
  return absl::StrJoin(words, ", ");
}

constexpr int kVersionColumn = 4;  // after the state

}  // namespace

std::string RenderDevices(const v1::ListDevicesResponse& devices, absl::Time now,
                          const TextStyle& style) {
  if (devices.devices().empty()) {
    return "no devices; start a worker with: wattle-worker --coordinator HOST:PORT\n";
  }
  // If two devices share a name, only the ids distinguish them.
  std::set<std::string> names;
  for (const v1::Device& device : devices.devices()) {
    names.insert(device.info().name());
  }
  // If all workers run the same version, as they should, the column is left out.
  std::set<std::string> versions;
  for (const v1::Device& device : devices.devices()) {
    versions.insert(device.info().worker_version());
  }
  const bool id_drops = static_cast<int>(names.size()) == devices.devices_size();
  std::vector<Column> columns = {{"device"},
                                 {"id", Align::kLeft, false, id_drops},
                                 {"class", Align::kLeft, true},
                                 {"state"},
                                 {"job"},
                                 {"power", Align::kRight},
                                 {"temperature", Align::kRight, false, true},
                                 {"charge", Align::kRight},
                                 {"last seen", Align::kLeft, false, true},
                                 {"reason", Align::kLeft, true}};
  if (versions.size() > 1) {
    columns.insert(columns.begin() + kVersionColumn, Column{"worker"});
  }
  Table table(columns);
  std::vector<std::string> ids;
  for (const v1::Device& device : devices.devices()) {
    ids.push_back(device.info().device_id());
  }
  const size_t id_digits = UniqueDigits(ids);
  for (const v1::Device& device : devices.devices()) {
    const v1::Heartbeat& heartbeat = device.heartbeat();
    std::vector<std::string> cells = {
        device.info().name(),
        device.info().device_id().substr(0, id_digits),
        DeviceClassWord(device.info().device_class(), device.info().emulated()),
        DeviceStateWord(device),
        DeviceJobWords(device),
        PowerWords(device),
        Temperature(heartbeat),
        ChargeWords(device),
        device.last_seen_unix_seconds() == 0.0 ? "not since start"
                                               : FormatAge(now, device.last_seen_unix_seconds()),
        Reason(device)};
    if (versions.size() > 1) {
      cells.insert(cells.begin() + kVersionColumn, device.info().worker_version());
    }
    table.AddRow(cells);
  }
  return table.Render(style);
}

namespace {

// "mast, one pack, at most 40.00 W", from the policies that select the device.
std::string PowerGroupWords(const v1::DeviceInfo& device,
                            const v1::ListPoliciesResponse& policies) {
  std::vector<const v1::Policy*> selecting;
  for (const v1::Policy& policy : policies.policies()) {
    if (policy::Selects(policy, device)) {
      selecting.push_back(&policy);
    }
  }
  const policy::Limits limits = policy::LimitsOf(selecting);
  if (!limits.power_group) {
    return "";
  }
  const policy::PowerGroupLimit& group = *limits.power_group;
  return absl::StrCat(group.name, group.shared_pack ? ", one pack" : "",
                      group.cap ? absl::StrCat(", at most ", FormatPower(*group.cap)) : "");
}

}  // namespace

std::string RenderDevice(const v1::Device& device, absl::Time now,
                         const v1::ListPoliciesResponse& policies) {
  const v1::DeviceInfo& info = device.info();
  const v1::Heartbeat& heartbeat = device.heartbeat();
  std::string out = absl::StrCat(Printable(info.name()), " ", DeviceStateWord(device), "\n");
  AppendField("id", info.device_id(), &out);
  AppendField("class", DeviceClassWord(info.device_class(), info.emulated()), &out);
  if (info.time_scale() != 0.0 && info.time_scale() != 1.0) {
    AppendField("time_scale",
                absl::StrCat(FormatScale(info.time_scale()), " s of wall time for 1 device s"),
                &out);
  }
  AppendField("problem", device.problem(), &out);
  AppendField("reason", device.problem().empty() ? Reason(device) : device.drain_reason(), &out);
  AppendField("warning", heartbeat.guard_warning(), &out);
  for (const std::string& finding : info.findings()) {
    AppendField("finding", finding, &out);
  }
  AppendField("running", device.running_attempt_id(), &out);
  AppendField("behind it", absl::StrJoin(device.queued_attempt_ids(), ", "), &out);
  AppendField("last seen",
              device.last_seen_unix_seconds() == 0.0
                  ? "not since the coordinator's start"
                  : FormatAge(now, device.last_seen_unix_seconds()),
              &out);
  const std::string evidence = EvidenceWord(info.energy_source(), info.emulated());
  const std::string note = evidence == "measured" ? "" : absl::StrCat(" (", evidence, ")");
  const std::string power = PowerWords(device);
  AppendField("power", power.empty() || evidence == "modelled" ? power : absl::StrCat(power, note),
              &out);
  AppendField("idle power",
              heartbeat.idle_power_watts() > 0.0
                  ? absl::StrCat(FormatPower(Watts(heartbeat.idle_power_watts())), note)
                  : "",
              &out);
  AppendField("temperature",
              heartbeat.has_temperature() ? absl::StrCat(Temperature(heartbeat), note) : "", &out);
  AppendField("heat", HeatWords(heartbeat.heat_model()), &out);
  AppendField("power group", PowerGroupWords(info, policies), &out);
  const std::string charge = ChargeWords(device);
  AppendField("charge", charge.empty() ? "" : absl::StrCat(charge, note), &out);
  AppendField("", heartbeat.has_battery() ? BatteryWords(heartbeat) : "", &out);
  AppendField("harvest", HarvestWords(device.ledger()), &out);
  AddHardware(info, &out);
  AppendField("cache",
              absl::StrCat(FormatBytes(heartbeat.cache_used_bytes()),
                           info.cache_quota_bytes() > 0
                               ? absl::StrCat(" of ", FormatBytes(info.cache_quota_bytes()))
                               : "",
                           ", ", heartbeat.cached_artifact_ids_size(), " artifacts"),
              &out);
  AppendField(
      "disk",
      heartbeat.disk_free_bytes() > 0 ? FormatBytes(heartbeat.disk_free_bytes()) + " free" : "",
      &out);
  AppendField("clock", ClockWords(device), &out);
  AppendField("link", LinkWords(heartbeat.link()), &out);
  AppendField("link bytes", LinkBytesWords(device.ledger().link_bytes()), &out);
  AddLedger(device, &out);
  return out;
}

}  // namespace wattle::cli
