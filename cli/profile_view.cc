// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/fleet_view.h"
#include "cli/labels.h"
#include "cli/table.h"

#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

// "1.23 s", "456 ms", "78 µs". A unit of work can be as small as a token.
std::string UnitSeconds(double seconds) {
  if (seconds <= 0.0) {
    return "";  // Not known.
  }
  if (seconds >= 1.0) {
    return absl::StrFormat("%.3f s", seconds);
  }
  return seconds >= 1e-3 ? absl::StrFormat("%.3f ms", seconds * 1e3)
                         : absl::StrFormat("%.1f µs", seconds * 1e6);
}

std::string UnitEnergy(double joules) {
  if (joules <= 0.0) {
    return "";  // Not known.
  }
  if (joules >= 1.0) {
    return absl::StrFormat("%.3f J", joules);
  }
  return joules >= 1e-3 ? absl::StrFormat("%.3f mJ", joules * 1e3)
                        : absl::StrFormat("%.1f µJ", joules * 1e6);
}

std::string Power(double watts) {
  return watts > 0.0 ? FormatPower(Watts(watts)) : "";
}

// "published", "measured", or "emulated" for a row that was measured on an emulated device.
std::string SourceWord(const v1::ProfileRow& row) {
  if (row.source() == v1::PROFILE_SOURCE_MEASURED && row.emulated()) {
    return "emulated";
  }
  return Word(row.source());
}

// The workload in words. An unknown setting holds for all: "any batch".
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

std::string Spread(const v1::Statistic& statistic) {
  if (statistic.count() == 0) {
    return "";  // A published mean has no count of observations.
  }
  std::string out = absl::StrCat(" (", statistic.count(),
                                 statistic.count() == 1 ? " observation" : " observations");
  if (statistic.relative_deviation() > 0.0) {
    absl::StrAppend(&out, ", deviation ",
                    absl::StrFormat("%.1f %%", statistic.relative_deviation() * 100.0));
  }
  return absl::StrCat(out, ")");
}

}  // namespace

std::string RenderProfiles(const v1::ListProfilesResponse& profiles, const TextStyle& style) {
  if (profiles.rows().empty()) {
    return "no profile rows for this device class; all classes: wattle profile ls\n";
  }
  Table table({{"class"},
               {"device"},
               {"workload", Align::kLeft, true},
               {"unit"},
               {"device s/unit", Align::kRight},
               {"power", Align::kRight},
               {"energy/unit", Align::kRight},
               {"n", Align::kRight},
               {"source"}});
  for (const v1::ProfileRow& row : profiles.rows()) {
    table.AddRow(
        {DeviceClassWord(row.device_class(), row.emulated()), row.device_id().substr(0, 8),
         WorkloadWords(row.signature()), UnitWord(row.unit()),
         UnitSeconds(row.seconds_per_unit().mean()), Power(row.power_watts().mean()),
         UnitEnergy(row.energy_joules_per_unit().mean()),
         row.seconds_per_unit().count() > 0 ? absl::StrCat(row.seconds_per_unit().count()) : "",
         SourceWord(row)});
  }
  return table.Render(style);
}

std::string RenderProfileRow(const v1::ProfileRow& row) {
  std::string out =
      absl::StrCat(Printable(DeviceClassWord(row.device_class(), row.emulated())), ", ",
                   Printable(WorkloadWords(row.signature())), ": ", SourceWord(row), "\n");
  AppendField("device", row.device_id(), &out);
  AppendField("power mode", row.power_mode().empty() ? "any" : row.power_mode(), &out);
  AppendField("model", ModelShapeWords(row.signature().model()), &out);
  AppendField("engine",
              absl::StrCat(row.signature().engine(), " ", row.signature().engine_version()), &out);
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
