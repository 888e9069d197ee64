// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a device can be asked. A source is one thing that measures: a chip, the kernel's battery
// class, a smart plug. It tells readings on its channels, each with the time at which the reading
// was taken. A source that this board lacks is not there (discovery finds nothing); one that is
// there and fails answers with an error, and never with 0. To add a source: one file beside this
// one, its fixture in the test, one entry in registry.cc (with the settings that it takes).
#ifndef WATTLE_TELEMETRY_SENSORS_SOURCE_H_
#define WATTLE_TELEMETRY_SENSORS_SOURCE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "units/quantity.h"
#include "wattle/v1/energy.pb.h"

namespace wattle::telemetry {

// A cumulative counter of energy; its zero is arbitrary. The meter, not the source, decides whether
// a value that went back has wrapped or was reset.
struct EnergyCount {
  Joules value{};
  Joules modulus{};  // starts again from 0 here; 0: not known
};

struct ChargeState {
  Fraction state_of_charge{};
  std::optional<Joules> capacity{};  // when full; absent where the gauge does not tell it
  std::optional<Watts> draw{};       // above 0: the battery discharges
  bool charging = false;
};

// Whether the device has lowered its clocks because of heat, current or voltage.
struct Throttling {
  bool now = false;
};

// Numbers that only metrics show, in the base unit that the family's name says.
struct Level {  // goes up and down
  double value = 0;
};
struct Tally {  // only grows, and may begin again at 0
  double value = 0;
};

using Value = std::variant<Watts, EnergyCount, Celsius, ChargeState, Throttling, Level, Tally>;

struct Reading {
  size_t channel = 0;  // index into SourceInfo.channels
  Value value{};
  Monotonic taken_at{};
};

// What a source measures at one place.
struct Channel {
  std::string name{};  // of the rail, zone or battery: "VDD_IN", "package-0", "cpu-thermal"
  std::string file{};  // where it is read, for `probe`
  // The metric family of the channel, as docs/metrics.md has it; labels source and channel are
  // added. Of a ChargeState it shows the ratio.
  std::string metric{};
  std::string help{};
  // The readings of these channels (Watts, or EnergyCount) add up to the device's power.
  bool in_total = false;
  bool gauge = false;        // tells a ChargeState
  bool thermometer = false;  // tells Celsius
};

struct SourceInfo {
  std::string name{};                         // for people and the label `source`: "ina3221 1-0040"
  absl::Duration cadence = absl::Seconds(1);  // how often there is a new value; asked no more often
  absl::Duration deadline = absl::Seconds(5);  // a Poll that takes longer hangs

  // Where channels are in the total: what their sum is, and how good.
  v1::EnergySource energy_source = v1::ENERGY_SOURCE_UNSPECIFIED;
  // What the sum covers: "module", "board_input", "rails_sum", "mains", "soc_rails", "battery".
  // Figures of different scopes are never compared.
  std::string scope{};
  int rank = 0;                       // among sources of the device's power, the lowest is used
  bool averages = false;              // a value is the mean since the value before
  Watts plausible_max = Watts(1000);  // more is a fault
  double error_ratio = 0.0;           // stated error of a value
  Watts error_floor{};                // stated error that does not grow with the value

  Fraction gauge_error = Fraction(0.05);  // of a ChargeState, as a share of the capacity
  int gauge_rank = 10;                    // among gauges of the device, the lowest is used
  std::vector<Channel> channels{};

  [[nodiscard]] bool measures_power() const;
  [[nodiscard]] bool has_gauge() const;
  [[nodiscard]] bool has_thermometer() const;
};

class Source {
 public:
  virtual ~Source() = default;
  [[nodiscard]] virtual const SourceInfo& info() const = 0;
  // The readings since the last call, in order of time, none later than `now`. taken_at is `now`
  // where the source cannot tell better. A channel without a value now is left out; a channel of
  // the total is left out with all others of the total, for part of a sum is no sum. May block for
  // up to info().deadline: a source has a thread of its own.
  // Errors: kUnavailable (no value now: disabled, bus busy), kPermissionDenied, kInternal (a value
  // that cannot be), kDeadlineExceeded (network).
  virtual absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) = 0;
};

// What discovery found: a source, or something that is there and cannot be used.
struct Candidate {
  std::string name{};
  std::unique_ptr<Source> source{};  // null: `problem` says why, in one line with the remedy
  absl::Status problem = absl::OkStatus();
};

// "ina3221", "pmic", "power_supply", …, as in metrics and receipts; "unspecified" where it is not.
std::string EnergySourceName(v1::EnergySource source);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SOURCE_H_
