// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/nut.h"

#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "base/clock.h"
#include "base/host_port.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "telemetry/sensors/line_connection.h"
#include "telemetry/sensors/registry.h"
#include "telemetry/sensors/voltage_curve.h"

namespace wattle::telemetry {
namespace {

constexpr Setting kNutSettings[] = {
    {.name = "ups", .meaning = "name of the UPS in upsd's ups.conf", .required = true},
    {.name = "address", .meaning = "host, or host:port, of upsd; absent: localhost:3493"},
    {.name = "power",
     .meaning = "measured: this device alone hangs on the UPS, whose ups.realpower is its power; "
                "estimated: the same from ups.load; none: not this device's power (absent: none)",
     .choices = "measured|estimated|none"},
    {.name = "nominal_watts",
     .meaning = "output at 100 % load; absent: as the UPS says (ups.realpower.nominal)",
     .low = 1,
     .high = 1e6},
    kChemistrySetting,
    kCellsSetting,
    kCapacitySetting,
};

constexpr int kUpsdPort = 3493;
// NUT's drivers poll their UPS every two seconds.
constexpr absl::Duration kNutCadence = absl::Seconds(2);
constexpr absl::Duration kNutDeadline = absl::Seconds(4);
constexpr int kLinesMax = 1000;

std::optional<double> Number(const UpsVariables& variables, const char* key) {
  const auto value = variables.find(key);
  double number = 0;
  if (value == variables.end() || !absl::SimpleAtod(value->second, &number) ||
      !std::isfinite(number)) {
    return std::nullopt;
  }
  return number;
}

std::set<std::string> StatusFlags(const UpsVariables& variables) {
  const auto status = variables.find("ups.status");
  if (status == variables.end()) {
    return {};  // unknown, which does not mean "off"
  }
  return absl::StrSplit(status->second, ' ', absl::SkipEmpty());
}

enum Channels : size_t { kCharge, kLowBattery, kRuntime, kPower };

class Nut final : public Source {
 public:
  Nut(const SourceSettings& entry, HostPort server)
      : server_(std::move(server)),
        ups_(entry.Text("ups")),
        estimates_(entry.Text("power") == "estimated"),
        pack_(PackOf(entry)) {
    if (entry.Has("nominal_watts")) {
      nominal_ = Watts(entry.Number("nominal_watts", 0));
    }
    if (entry.Has("capacity_wh")) {
      capacity_ = FromWattHours(entry.Number("capacity_wh", 0));
    }
    const std::string where = absl::StrCat(ups_, "@", FormatHostPort(server_));
    info_ = {.name = absl::StrCat("nut ", where),
             .cadence = kNutCadence,
             .deadline = kNutDeadline + absl::Seconds(1),
             .energy_source = v1::ENERGY_SOURCE_POWER_SUPPLY,
             .scope = estimates_ ? "estimated" : "ups_output",
             .rank = 35,
             .averages = true,
             .plausible_max = Watts(10'000),
             .error_ratio = estimates_ ? 0.10 : 0.05,
             .error_floor = Watts(2),
             .steady_max = absl::InfiniteDuration(),  // whole percents of a large UPS
             .gauge_error = pack_ ? VoltageChargeError(pack_->chemistry) : Fraction(0.05),
             .gauge_rank = 20,
             // Most firmware derives the charge from a voltage in steps of 0.1 V.
             .charge_step = pack_ ? VoltageChargeError(pack_->chemistry) : Fraction(0.1)};
    info_.channels = {{.name = ups_,
                       .file = where,
                       .metric = "wattle_battery_charge_ratio",
                       .help = "State of charge of one battery, 0 to 1.",
                       .gauge = true},
                      {.name = ups_,
                       .file = where,
                       .metric = "wattle_ups_low_battery",
                       .help = "1 while the UPS says that its battery is low."},
                      {.name = ups_,
                       .file = where,
                       .metric = "wattle_ups_runtime_seconds",
                       .help = "How long the UPS says that its battery lasts."},
                      {.name = ups_,
                       .file = where,
                       .metric = "wattle_ups_output_watts",
                       .help = "Power that the UPS gives to everything on it.",
                       .in_total = estimates_ || entry.Text("power") == "measured"}};
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    WATTLE_ASSIGN_OR_RETURN(const UpsVariables variables, ListVariables());
    const std::set<std::string> flags = StatusFlags(variables);
    const bool on_battery = flags.count("OB") != 0 || flags.count("DISCHRG") != 0;
    const std::optional<Watts> power = OutputPower(variables);
    std::vector<Reading> readings;
    absl::StatusOr<ChargeState> charge = Charge(variables);
    if (!charge.ok() && !absl::IsNotFound(charge.status())) {
      return charge.status();
    }
    if (charge.ok()) {
      charge->charging = !on_battery && (flags.count("OL") != 0 || flags.count("CHRG") != 0);
      charge->discharging = on_battery;
      if (on_battery) {
        charge->draw = power;
      }
      readings.push_back({kCharge, *charge, now});
    }
    if (!flags.empty()) {
      readings.push_back({kLowBattery, Level{flags.count("LB") != 0 ? 1.0 : 0.0}, now});
    }
    if (const auto seconds = Number(variables, "battery.runtime")) {
      readings.push_back({kRuntime, Level{*seconds}, now});
    }
    if (power) {
      readings.push_back({kPower, *power, now});
    }
    if (!charge.ok() && !power) {
      return absl::UnavailableError(
          absl::StrCat(info_.name,
                       ": the UPS tells neither charge nor power; where it tells battery.voltage, "
                       "set `chemistry` and `cells` of the sensor"));
    }
    return readings;
  }

 private:
  absl::StatusOr<UpsVariables> ListVariables() {
    const Monotonic deadline = Clock::Real().Boottime() + kNutDeadline;
    WATTLE_ASSIGN_OR_RETURN(LineConnection connection, LineConnection::Open(server_, deadline));
    WATTLE_RETURN_IF_ERROR(connection.Send(absl::StrCat("LIST VAR ", ups_, "\n")));
    UpsVariables variables;
    for (int i = 0; i < kLinesMax; ++i) {
      const absl::StatusOr<std::string> line = connection.ReadLine();
      if (!line.ok()) {
        return line.status();
      }
      if (absl::StartsWith(*line, "ERR ")) {
        const absl::Status problem = UpsError(*line);
        return absl::Status(problem.code(), absl::StrCat(info_.name, ": ", problem.message()));
      }
      if (absl::StartsWith(*line, "END LIST VAR")) {
        return variables;
      }
      if (!absl::StartsWith(*line, "BEGIN LIST VAR")) {
        WATTLE_RETURN_IF_ERROR(ParseUpsVariable(*line, &variables));
      }
    }
    return absl::InternalError(absl::StrCat(info_.name, ": the list of variables does not end"));
  }

  [[nodiscard]] std::optional<Watts> OutputPower(const UpsVariables& variables) const {
    if (const auto watts = estimates_ ? std::nullopt : Number(variables, "ups.realpower")) {
      return Watts(*watts);
    }
    const auto percent = Number(variables, "ups.load");
    const auto told = Number(variables, "ups.realpower.nominal");
    if (!estimates_ || !percent || (!nominal_ && !told)) {
      return std::nullopt;
    }
    return (nominal_ ? *nominal_ : Watts(*told)) * (*percent / 100);
  }

  // The charge without direction and draw, which the caller adds. Errors: kNotFound if the UPS
  // reports none.
  [[nodiscard]] absl::StatusOr<ChargeState> Charge(const UpsVariables& variables) const {
    if (const auto percent = Number(variables, "battery.charge")) {
      if (*percent < 0 || *percent > 100) {
        return absl::InternalError(
            absl::StrCat(info_.name, ": battery.charge ", *percent, " is no share of 100"));
      }
      return ChargeState{.state_of_charge = Fraction(*percent / 100), .capacity = capacity_};
    }
    const auto volts = Number(variables, "battery.voltage");
    if (!pack_ || !volts) {
      return absl::NotFoundError("no charge");
    }
    return ChargeFromVoltage(*pack_, *volts);
  }

  HostPort server_;
  std::string ups_;
  bool estimates_;
  std::optional<BatteryPack> pack_;
  std::optional<Watts> nominal_;
  std::optional<Joules> capacity_;
  SourceInfo info_;
};

// One source for each entry, whether upsd is reachable or not. Poll keeps its deadline.
std::vector<Candidate> DiscoverNut(const std::string& /*root*/,
                                   const std::vector<SourceSettings>& entries) {
  std::vector<Candidate> found;
  for (const SourceSettings& entry : entries) {
    const std::string address = entry.Text("address", "localhost");
    const bool has_port = address.rfind(':') != std::string::npos && address.back() != ']';
    const auto server =
        ParseHostPort("address", has_port ? address : absl::StrCat(address, ":", kUpsdPort));
    const std::string name = absl::StrCat("nut ", entry.Text("ups"), "@", address);
    if (absl::StrContains(entry.Text("ups"), ' ') || absl::StrContains(entry.Text("ups"), '\n')) {
      found.push_back(
          {.name = name,
           .problem = absl::InvalidArgumentError("ups: a name without spaces is wanted")});
    } else if (!server.ok()) {
      found.push_back({.name = name, .problem = server.status()});
    } else {
      found.push_back({.name = name, .source = std::make_unique<Nut>(entry, *server)});
    }
  }
  return found;
}

}  // namespace

absl::Status ParseUpsVariable(absl::string_view line, UpsVariables* variables) {
  absl::string_view rest = line;
  const auto wrong = [line] {
    return absl::InternalError(
        absl::StrCat("upsd: \"", OneLine(line.substr(0, 80)), "\" is not VAR ups key \"value\""));
  };
  if (!absl::ConsumePrefix(&rest, "VAR ")) {
    return wrong();
  }
  // Neither the name of a UPS nor a key has a space.
  const size_t key_begin = rest.find(' ');
  const size_t quote = rest.find(" \"");
  if (key_begin == absl::string_view::npos || quote == absl::string_view::npos ||
      quote <= key_begin || rest.size() < quote + 3 || rest.back() != '"') {
    return wrong();
  }
  const std::string key(rest.substr(key_begin + 1, quote - key_begin - 1));
  std::string value;
  bool escaped = false;
  for (const char c : rest.substr(quote + 2, rest.size() - quote - 3)) {
    escaped = c == '\\' && !escaped;
    if (!escaped) {
      value.push_back(c);
    }
  }
  (*variables)[key] = value;
  return absl::OkStatus();
}

absl::Status UpsError(absl::string_view line) {
  absl::string_view reason = line;
  absl::ConsumePrefix(&reason, "ERR ");
  reason = reason.substr(0, reason.find(' '));
  if (reason == "UNKNOWN-UPS") {
    return absl::NotFoundError("upsd knows no UPS of this name (upsc -l lists those that it has)");
  }
  if (reason == "ACCESS-DENIED") {
    return absl::PermissionDeniedError("upsd denies this host; permit it in upsd.conf");
  }
  if (reason == "DATA-STALE") {
    return absl::UnavailableError("the UPS does not answer its driver (ERR DATA-STALE)");
  }
  if (reason == "DRIVER-NOT-CONNECTED") {
    return absl::UnavailableError("the driver of the UPS does not run (upsdrvctl start)");
  }
  return absl::UnavailableError(absl::StrCat("upsd answers ", OneLine(line.substr(0, 80))));
}

extern const SourceKind kNutKind = {"nut", kNutSettings, DiscoverNut};

}  // namespace wattle::telemetry
