// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/profile_view.h"

#include <cmath>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "scheduler/profiles/next_run.h"
#include "scheduler/profiles/profile_table.h"
#include "scheduler/profiles/run_interval.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

using scheduler::NextRun;
using scheduler::ProfileTable;
using scheduler::Quantity;

// Runs that are hotter, or throttled longer, by at least this much may be slow because of heat.
constexpr double kHotterCelsius = 5;
constexpr double kThrottledMore = 0.05;

bool IsKnown(double value) {
  return std::isfinite(value) && value > 0;
}

// A scale in which `value` has digits before the decimal point.
struct Scale {
  double factor = 1;
  absl::string_view unit;
  int digits = 3;
};

Scale ScaleFor(double value, bool seconds) {
  if (value >= 1.0) {
    return {1, seconds ? "s" : "J", 3};
  }
  return value >= 1e-3 ? Scale{1e3, seconds ? "ms" : "mJ", 3}
                       : Scale{1e6, seconds ? "µs" : "µJ", 1};
}

std::string Scaled(double value, bool seconds) {
  if (!IsKnown(value)) {
    return "";
  }
  const Scale scale = ScaleFor(value, seconds);
  return absl::StrFormat("%.*f %s", scale.digits, value * scale.factor, scale.unit);
}

// "4.320-4.920 ms", both ends in the scale of the mean.
std::string ScaledRange(const v1::Interval& interval, bool seconds) {
  const Scale scale = ScaleFor(interval.mean(), seconds);
  return absl::StrFormat("%.*f-%.*f %s", scale.digits, interval.low() * scale.factor, scale.digits,
                         interval.high() * scale.factor, scale.unit);
}

// "12 s", "5 min", "3 h", "3 d"; "now" also if a clock runs slightly ahead.
std::string AgeWord(absl::Time now, double unix_seconds) {
  if (!IsKnown(unix_seconds)) {
    return "";
  }
  const double age = absl::ToDoubleSeconds(now - absl::UnixEpoch()) - unix_seconds;
  if (age < 1.0) {
    return "now";
  }
  const auto [seconds, unit] = age < 60       ? std::pair(1.0, "s")
                               : age < 3600   ? std::pair(60.0, "min")
                               : age < 172800 ? std::pair(3600.0, "h")
                                              : std::pair(86400.0, "d");
  return absl::StrFormat("%.0f %s", std::floor(age / seconds), unit);
}

std::string Power(double watts) {
  return IsKnown(watts) ? FormatPower(Watts(watts)) : "";
}

// "published", "measured", or "emulated" for a row that was measured on an emulated device.
std::string SourceWord(const v1::ProfileRow& row) {
  if (row.source() == v1::PROFILE_SOURCE_MEASURED && row.emulated()) {
    return "emulated";
  }
  return Word(row.source());
}

std::string Spread(const v1::Statistic& statistic) {
  if (statistic.count() == 0) {
    return "";  // a published mean has no count of observations
  }
  std::string out = absl::StrCat(" (", statistic.count(),
                                 statistic.count() == 1 ? " observation" : " observations");
  if (statistic.relative_deviation() > 0.0) {
    absl::StrAppend(&out, ", deviation ",
                    absl::StrFormat("%.1f %%", statistic.relative_deviation() * 100.0));
  }
  return absl::StrCat(out, ")");
}

// The mean of a number of the row's runs, before and since its device changed; nullopt if the runs
// of one side do not have the number.
template <typename Of>
std::optional<double> RiseSinceChange(const v1::ProfileRow& row, const Of& of) {
  double sum[2] = {0, 0};
  double count[2] = {0, 0};
  for (const v1::RunObservation& run : row.runs()) {
    const std::optional<double> value = of(run);
    if (value.has_value() && std::isfinite(*value)) {
      const int since = run.at_unix_seconds() >= row.change().at_unix_seconds() ? 1 : 0;
      sum[since] += *value;
      count[since] += 1;
    }
  }
  if (count[0] == 0 || count[1] == 0) {
    return std::nullopt;
  }
  return sum[1] / count[1] - sum[0] / count[0];
}

bool MayBeHeat(const v1::ProfileRow& row) {
  const auto hotter =
      RiseSinceChange(row, [](const v1::RunObservation& run) -> std::optional<double> {
        const double celsius = run.temperature_celsius_max();
        return celsius == 0 ? std::nullopt : std::optional(celsius);
      });
  const auto throttled =
      RiseSinceChange(row, [](const v1::RunObservation& run) -> std::optional<double> {
        return run.has_throttled_fraction() ? std::optional(run.throttled_fraction())
                                            : std::nullopt;
      });
  return hotter.value_or(0) >= kHotterCelsius || throttled.value_or(0) >= kThrottledMore;
}

// The drift, and whether the device's software has changed since.
std::string DriftOrEngineWords(const v1::ProfileRow& row, const ProfileFacts& facts) {
  std::string out = DriftWords(row, facts.now);
  for (const v1::Device& device : facts.devices.devices()) {
    if (device.info().device_id() == row.device_id() &&
        scheduler::IsOfOtherEngine(row, device.info().engine_version())) {
      absl::StrAppend(&out, out.empty() ? "" : "; ", "older engine");
    }
  }
  return out;
}

std::map<std::string, std::string> NamesOf(const v1::ListDevicesResponse& devices) {
  std::map<std::string, std::string> names;
  for (const v1::Device& device : devices.devices()) {
    names[device.info().device_id()] = device.info().name();
  }
  return names;
}

// "next: …" with the time that the run takes and the cost of a unit; "" if no run narrows the
// interval enough.
std::string NextWords(const ProfileFacts& facts, const ProfileTable& table,
                      const std::string& device_class) {
  std::vector<v1::DeviceInfo> devices;
  for (const v1::Device& device : facts.devices.devices()) {
    if (device.connected() && !device.unreachable() &&
        (device_class.empty() || device.info().device_class() == device_class)) {
      devices.push_back(device.info());
    }
  }
  const std::optional<NextRun> next = scheduler::NextRunToMeasure(table, devices);
  if (!next.has_value()) {
    return "";
  }
  const v1::ProfileRow& row = next->row;
  const std::string name = NamesOf(facts.devices)[next->device_id];
  std::string out = absl::StrCat("next: one run of ", Printable(WorkloadWords(row.signature())),
                                 " on ", Printable(name));
  if (!row.power_mode().empty()) {
    absl::StrAppend(&out, " in ", Printable(row.power_mode()));
  }
  absl::StrAppendFormat(&out, " narrows high / low of its time from %.2f to %.2f", next->ratio_now,
                        next->ratio_after);
  const auto joules =
      scheduler::RunInterval(row, Quantity::kEnergy, table.calibration(), next->device_id);
  if (joules.has_value()) {
    absl::StrAppend(&out, "; ", UnitEnergy(joules->mean()), " for each ", UnitWord(row.unit()));
  }
  return out;
}

}  // namespace

std::string UnitSeconds(double seconds) {
  return Scaled(seconds, /*seconds=*/true);
}

std::string UnitEnergy(double joules) {
  return Scaled(joules, /*seconds=*/false);
}

std::string WorkloadWords(const v1::WorkloadSignature& signature) {
  std::string out = Word(signature.method());
  absl::StrAppend(&out, ", ",
                  signature.model().layers() == 0
                      ? std::string("any model")
                      : absl::StrCat(signature.model().architecture(), " ",
                                     signature.model().layers(), "x", signature.model().width()));
  absl::StrAppend(&out, ", ",
                  signature.precision().empty() ? "any precision" : signature.precision());
  if (!signature.quantization().empty() && signature.quantization() != "none") {
    absl::StrAppend(&out, ", ", signature.quantization());
  }
  absl::StrAppend(
      &out, ", ",
      signature.batch_size() == 0 ? "any batch" : absl::StrCat("batch ", signature.batch_size()));
  absl::StrAppend(&out, ", ",
                  signature.sequence_length() == 0
                      ? "any length"
                      : absl::StrCat("length ", signature.sequence_length()));
  return out;
}

std::string DriftWords(const v1::ProfileRow& row, absl::Time now) {
  const double ratio = row.change().time_ratio();
  if (!row.has_change() || !IsKnown(ratio)) {
    return "";
  }
  std::string out = ratio >= 1 ? absl::StrFormat("slower by %.0f %%", (ratio - 1) * 100)
                               : absl::StrFormat("faster by %.0f %%", (1 - ratio) * 100);
  const std::string age = AgeWord(now, row.change().at_unix_seconds());
  if (!age.empty()) {
    absl::StrAppend(&out, age == "now" ? " " : " since ", age);
  }
  if (!row.change().measured_since()) {
    absl::StrAppend(&out, ", not measured since");
  }
  return absl::StrCat(out, ratio > 1 && MayBeHeat(row) ? ": heat?" : "");
}

std::string RenderProfiles(const ProfileFacts& facts, const std::string& device_class,
                           const TextStyle& style) {
  ProfileTable known;
  for (const v1::ProfileRow& row : facts.profiles.rows()) {
    (void)known.Put(row);  // an invalid row serves no prediction; the table still shows it
  }
  std::map<std::string, std::string> names = NamesOf(facts.devices);
  Table table({{"class"},
               {"device"},
               {"workload", Align::kLeft, true},
               {"mode"},
               {"unit"},
               {"device s/unit", Align::kRight},
               {"90 % of runs", Align::kRight},
               {"energy/unit", Align::kRight},
               {"90 % of runs", Align::kRight, false, true},
               {"n", Align::kRight},
               {"age", Align::kRight},
               {"source"},
               {"drift", Align::kLeft, true}});
  for (const v1::ProfileRow& row : facts.profiles.rows()) {
    if (!device_class.empty() && row.device_class() != device_class) {
      continue;
    }
    const auto range = [&](Quantity quantity) {
      const auto interval =
          scheduler::RunInterval(row, quantity, known.calibration(), row.device_id());
      return interval.has_value() ? ScaledRange(*interval, quantity == Quantity::kTime) : "";
    };
    const std::string name = names[row.device_id()];
    table.AddRow(
        {DeviceClassWord(row.device_class(), row.emulated()),
         name.empty() ? row.device_id().substr(0, 8) : name, WorkloadWords(row.signature()),
         row.power_mode(), UnitWord(row.unit()), UnitSeconds(row.seconds_per_unit().mean()),
         range(Quantity::kTime), UnitEnergy(row.energy_joules_per_unit().mean()),
         range(Quantity::kEnergy),
         row.seconds_per_unit().count() > 0 ? absl::StrCat(row.seconds_per_unit().count()) : "",
         AgeWord(facts.now, row.updated_unix_seconds()), SourceWord(row),
         DriftOrEngineWords(row, facts)});
  }
  if (table.empty()) {
    return "no profile rows for this device class; all classes: wattle profiles\n";
  }
  std::string out = table.Render(style);
  const std::string next = NextWords(facts, known, device_class);
  const auto width = static_cast<size_t>(style.width_columns > 0 ? style.width_columns : 0);
  if (!next.empty() && width > 0) {
    absl::StrAppend(&out, absl::StrJoin(WrapText(next, width), "\n"), "\n");
  } else if (!next.empty()) {
    absl::StrAppend(&out, next, "\n");
  }
  return out;
}

std::string RenderProfileRow(const v1::ProfileRow& row) {
  std::string out =
      absl::StrCat(Printable(DeviceClassWord(row.device_class(), row.emulated())), ", ",
                   Printable(WorkloadWords(row.signature())), ": ", SourceWord(row), "\n");
  AppendField("device", row.device_id(), &out);
  AppendField("power mode", row.power_mode().empty() ? "any" : row.power_mode(), &out);
  AppendField("model", ModelShapeWords(row.signature().model()), &out);
  const std::string& version = row.signature().engine_version();  // begins with the name
  AppendField("engine",
              absl::StartsWith(version, row.signature().engine())
                  ? version
                  : absl::StrCat(row.signature().engine(), " ", version),
              &out);
  AppendField("unit", UnitWord(row.unit()), &out);
  const std::string seconds = UnitSeconds(row.seconds_per_unit().mean());
  const std::string power = Power(row.power_watts().mean());
  const std::string energy = UnitEnergy(row.energy_joules_per_unit().mean());
  AppendField("time",
              seconds.empty()
                  ? "-"
                  : absl::StrCat(seconds, " per unit, device s", Spread(row.seconds_per_unit())),
              &out);
  AppendField("power",
              power.empty()
                  ? "-"
                  : absl::StrCat(power, " mean",
                                 row.peak_power_watts() > 0.0
                                     ? absl::StrCat(", ", Power(row.peak_power_watts()), " peak")
                                     : "",
                                 Spread(row.power_watts())),
              &out);
  AppendField(
      "energy",
      energy.empty()
          ? "-"
          : absl::StrCat(
                energy, " per unit gross",
                row.net_energy_joules_per_unit() > 0.0
                    ? absl::StrCat(", ", UnitEnergy(row.net_energy_joules_per_unit()), " net")
                    : "",
                Spread(row.energy_joules_per_unit())),
      &out);
  AppendField("memory", row.peak_memory_bytes() > 0 ? FormatBytes(row.peak_memory_bytes()) : "",
              &out);
  AppendField("from", row.source_note(), &out);
  AppendField("updated", FormatInstant(row.updated_unix_seconds()), &out);
  return out;
}

}  // namespace wattle::cli
