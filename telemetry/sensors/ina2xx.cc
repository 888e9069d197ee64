// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Single-channel power monitors by hwmon: INA219, 220, 226, 230, 231, 228, 237, 238 and 780 (the
// kernel's hwmon/ina2xx.rst and hwmon/ina238.rst). Boards without their own sensor get such a chip
// on their supply, so a single chip is taken for the board's input. With several chips the settings
// must say which chip is the board's, because the files do not show which chip includes the others;
// without settings each chip is only shown as a rail. If the chip counts energy (INA228, 780), the
// counter is used.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/sysfs.h"
#include "telemetry/sensors/voltage_curve.h"

namespace wattle::telemetry {
namespace {

constexpr Setting kIna2xxSettings[] = {
    {.name = "device", .meaning = "I2C device of the chip, as 1-0040; absent: every chip"},
    {.name = "position",
     .meaning = "where the shunt is: before the board's regulators, on the output to the board, at "
                "the battery's terminals, or on some rail",
     .choices = "input|output|battery|rail"},
    {.name = "current_scale",
     .meaning = "true current over the driver's: resistance that the driver was told over the "
                "shunt's own",
     .low = 0.001,
     .high = 1000},
    kChemistrySetting,
    kCellsSetting,
    kCapacitySetting,
    kResistanceSetting,
};

constexpr const char* kNames[] = {"ina219", "ina220", "ina226", "ina230", "ina231",
                                  "ina228", "ina237", "ina238", "ina780"};
// With the drivers' defaults a conversion takes 68 ms at most.
constexpr absl::Duration kIna2xxCadence = absl::Milliseconds(100);

struct Chip {
  std::string directory{};
  std::string name{};
  std::string device{};  // "1-0040"; the directory's own name if the link is missing
};

class Ina2xx final : public Source {
 public:
  // pack: the battery at whose terminals the chip is; nullopt elsewhere.
  Ina2xx(const Chip& chip, const std::string& position, double current_scale,
         std::optional<BatteryPack> pack, double resistance_ohms)
      : directory_(chip.directory),
        scale_(current_scale),
        pack_(pack),
        resistance_ohms_(resistance_ohms),
        has_power_(Exists("power1_input")),
        has_energy_(Exists("energy1_input")),
        signed_(position == "battery") {
    const absl::StatusOr<int64_t> interval = ReadInteger(directory_ + "/update_interval");
    const std::string label = ReadText(directory_ + "/in1_label").value_or(chip.device);
    const bool total = position == "input" || position == "output";
    info_ = {.name = absl::StrCat(chip.name, " ", label),
             .cadence = interval.ok() && *interval > 0
                            ? std::max(absl::Milliseconds(*interval), kIna2xxCadence)
                            : kIna2xxCadence,
             .energy_source = v1::ENERGY_SOURCE_INA2XX,
             .scope = "board_input",
             .rank = 20,
             .plausible_max = Watts(500),
             // The real shunt may differ from the driver's setting: one percent.
             .error_ratio = 0.01,
             .error_floor = Watts(0.02)};
    info_.channels = {{.name = label,
                       .file = directory_ + (has_power_ ? "/power1_input" : "/curr1_input"),
                       .metric = "wattle_rail_power_watts",
                       .help = "Power of one rail, latest sample.",
                       .in_total = total && !has_energy_}};
    if (has_energy_) {
      info_.channels.push_back({.name = label,
                                .file = directory_ + "/energy1_input",
                                .metric = "wattle_rail_energy_joules_total",
                                .help = "Energy counter of one rail, as the chip has it.",
                                .in_total = total});
    }
    if (pack_) {
      info_.gauge_error = VoltageChargeError(pack_->chemistry);
      info_.gauge_rank = 50;
      info_.channels.push_back({.name = label,
                                .file = directory_ + "/in1_input",
                                .metric = "wattle_battery_charge_ratio",
                                .help = "State of charge of one battery, 0 to 1.",
                                .gauge = true});
    }
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    WATTLE_ASSIGN_OR_RETURN(const Watts power, ReadPower());
    std::vector<Reading> readings = {{0, power, now}};
    if (has_energy_) {
      WATTLE_ASSIGN_OR_RETURN(const double microjoules, Read("energy1_input"));
      readings.push_back({1, EnergyCount{.value = Joules(microjoules * 1e-6 * scale_)}, now});
    }
    if (pack_) {
      WATTLE_ASSIGN_OR_RETURN(const double millivolts, Read("in1_input"));
      const double volts = millivolts * 1e-3;
      const double amperes = volts > 0 ? -power.value() / volts : 0.0;
      WATTLE_ASSIGN_OR_RETURN(const ChargeState charge,
                              ChargeFromVoltage(*pack_, volts, amperes, resistance_ohms_));
      readings.push_back({readings.size(), charge, now});
    }
    return readings;
  }

 private:
  [[nodiscard]] bool Exists(const char* attribute) const {
    return !absl::IsNotFound(ReadText(absl::StrCat(directory_, "/", attribute)).status());
  }
  [[nodiscard]] absl::StatusOr<double> Read(const char* attribute) const {
    WATTLE_ASSIGN_OR_RETURN(const int64_t value,
                            ReadInteger(absl::StrCat(directory_, "/", attribute)));
    return static_cast<double>(value);
  }
  // At a battery the sign means charging or discharging; elsewhere it depends only on the shunt's
  // wiring.
  [[nodiscard]] absl::StatusOr<Watts> ReadPower() const {
    double microwatts = 0;
    if (has_power_) {
      WATTLE_ASSIGN_OR_RETURN(microwatts, Read("power1_input"));
      // The power register has no sign.
      if (signed_ && Read("curr1_input").value_or(0) < 0) {
        microwatts = -microwatts;
      }
    } else {
      // in0 is the shunt's voltage, in1 the bus's.
      WATTLE_ASSIGN_OR_RETURN(const double millivolts, Read("in1_input"));
      WATTLE_ASSIGN_OR_RETURN(const double milliamperes, Read("curr1_input"));
      microwatts = millivolts * milliamperes;
    }
    return Watts((signed_ ? microwatts : std::abs(microwatts)) * 1e-6 * scale_);
  }

  std::string directory_;
  double scale_;
  std::optional<BatteryPack> pack_;
  double resistance_ohms_;
  bool has_power_;
  bool has_energy_;
  bool signed_;
  SourceInfo info_;
};

std::vector<Chip> FindChips(const std::string& root) {
  std::vector<Chip> chips;
  const std::string hwmon = root + "/sys/class/hwmon";
  for (const std::string& entry : ListDirectory(hwmon)) {
    Chip chip = {.directory = absl::StrCat(hwmon, "/", entry)};
    chip.name = ReadText(chip.directory + "/name").value_or("");
    if (std::find(std::begin(kNames), std::end(kNames), chip.name) == std::end(kNames)) {
      continue;
    }
    std::error_code none;
    const std::filesystem::path link =
        std::filesystem::read_symlink(chip.directory + "/device", none);
    chip.device = link.empty() ? entry : link.filename().string();
    chips.push_back(std::move(chip));
  }
  return chips;
}

// entries: at most one for each chip, by its I2C device; an entry without `device` applies to every
// chip. An entry for a missing chip gives a candidate with a problem.
std::vector<Candidate> DiscoverIna2xx(const std::string& root,
                                      const std::vector<SourceSettings>& entries) {
  const std::vector<Chip> chips = FindChips(root);
  std::vector<Candidate> found;
  for (const Chip& chip : chips) {
    const auto entry = std::find_if(entries.begin(), entries.end(), [&chip](const auto& one) {
      return one.Text("device", chip.device) == chip.device;
    });
    const std::string usual = chips.size() == 1 ? "input" : "rail";
    const bool said = entry != entries.end();
    const std::string position = said ? entry->Text("position", usual) : usual;
    auto source =
        std::make_unique<Ina2xx>(chip, position, said ? entry->Number("current_scale", 1) : 1,
                                 said && position == "battery" ? PackOf(*entry) : std::nullopt,
                                 said ? entry->Number("resistance_ohms", 0) : 0);
    const std::string title = source->info().name;
    found.push_back({.name = title, .source = std::move(source)});
  }
  for (const SourceSettings& entry : entries) {
    const std::string device = entry.Text("device");
    const bool there = std::any_of(chips.begin(), chips.end(), [&device](const Chip& chip) {
      return device.empty() || chip.device == device;
    });
    if (!there) {
      found.push_back(
          {.name = absl::StrCat("ina2xx ", device),
           .problem = absl::NotFoundError(absl::StrCat(
               device,
               ": no INA2xx by hwmon there; bind the kernel's driver (on a Raspberry Pi "
               "dtoverlay=i2c-sensor,ina219,addr=0x40), or correct the address"))});
    }
  }
  return found;
}

}  // namespace

extern const SourceKind kIna2xxKind = {"ina2xx", kIna2xxSettings, DiscoverIna2xx};

}  // namespace wattle::telemetry
