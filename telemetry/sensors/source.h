// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A source is one thing that measures: a chip, the kernel's battery class, a smart plug. A source
// gives readings on its channels, each with the time when it was taken. Discovery returns no
// candidate for a source that the board lacks. A present source that fails answers with an error,
// and never with 0. registry.h says how to add a source.
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

// A cumulative energy counter with an arbitrary zero. The meter, not the source, decides whether a
// fallen value has wrapped or was reset.
struct EnergyCount {
  Joules value{};
  Joules modulus{};  // the value at which the counter wraps to 0; 0: unknown
};

// Bounds on a battery's charge from its volts and amperes. The charge counter
// (battery/charge_counter.h, which explains the fields) computes a state of charge from them.
struct VoltageBounds {
  Fraction low{};
  Fraction high{};
  Watts drain{};
  absl::Duration rest_time{};
  double charge_loss = 0;
};

struct ChargeState {
  Fraction state_of_charge{};
  std::optional<Joules> capacity{};  // energy when full; absent if the gauge does not report it
  std::optional<Watts> draw{};       // above 0: the battery discharges
  bool charging = false;
  bool discharging = false;  // as the gauge reports; neither: it reports no direction
  // Set, with capacity, for a charge that was read from a voltage if the current is known too.
  std::optional<VoltageBounds> by_voltage{};
};

// Whether the device has lowered its clocks because of heat, current or voltage.
struct Throttling {
  bool now = false;
};

// Whether the supply gives less than the board needs. A short dip counts, as long as the kernel or
// the firmware saw it since the last poll.
struct UnderVoltage {
  bool now = false;
};

// Numbers only for metrics, in the base unit that the metric's name says.
struct Level {  // goes up and down
  double value = 0;
};
struct Tally {  // only grows, and may begin again at 0
  double value = 0;
};

using Value =
    std::variant<Watts, EnergyCount, Celsius, ChargeState, Throttling, UnderVoltage, Level, Tally>;

struct Reading {
  size_t channel = 0;  // index into SourceInfo.channels
  Value value{};
  Monotonic taken_at{};
};

// One place at which a source measures.
struct Channel {
  std::string name{};  // name of the rail, zone or battery: "VDD_IN", "package-0", "cpu-thermal"
  std::string file{};  // the file that is read, for `probe`
  // The channel's metric, as in docs/metrics.md. The labels source and channel are added. A
  // ChargeState is shown as its ratio.
  std::string metric{};
  std::string help{};
  // Whether the channel's readings (Watts or EnergyCount) are part of the device's power.
  bool in_total = false;
  bool gauge = false;        // readings are ChargeState
  bool thermometer = false;  // readings are Celsius
  // For a thermometer: from this temperature on the kernel or the firmware slows the board down.
  // Absent: not reported.
  std::optional<Celsius> throttles_at{};
};

struct SourceInfo {
  std::string name{};                         // for people and the label `source`: "ina3221 1-0040"
  absl::Duration cadence = absl::Seconds(1);  // interval of new values, and of polls
  absl::Duration deadline = absl::Seconds(5);  // a Poll that takes longer counts as hung

  // For sources with channels in the total: what their sum covers, and its error. The value's name
  // in energy.proto is its name in metrics and tables: LowerName gives "ina3221".
  v1::EnergySource energy_source = v1::ENERGY_SOURCE_UNSPECIFIED;
  // The scope of the sum: "module", "board_input", "rails_sum", "mains", "soc_rails", "battery".
  // Figures of different scopes do not compare.
  std::string scope{};
  int rank = 0;                       // among sources of the device's power the lowest rank is used
  bool averages = false;              // a value is the mean since the value before
  Watts plausible_max = Watts(1000);  // more is a fault
  double error_ratio = 0.0;           // stated error of a value
  Watts error_floor{};                // stated error that does not grow with the value
  // For how long a working source may report exactly the same power although the load has changed.
  // Infinite: for ever (whole percents of a large UPS). See stuck.h.
  absl::Duration steady_max = absl::Seconds(15);

  Fraction gauge_error = Fraction(0.05);  // error of a ChargeState, as a share of the capacity
  int gauge_rank = 10;                    // among gauges the lowest rank is used
  Fraction charge_step = Fraction(0.01);  // the largest step of a ChargeState that works
  std::vector<Channel> channels{};

  [[nodiscard]] bool measures_power() const;
  [[nodiscard]] bool has_gauge() const;
  [[nodiscard]] bool has_thermometer() const;
};

class Source {
 public:
  virtual ~Source() = default;
  [[nodiscard]] virtual const SourceInfo& info() const = 0;
  // The readings since the last call, in order of time, none later than `now`. taken_at is `now` if
  // the source does not know better. A channel without a present value is left out. If one channel
  // of the total has no value, all channels of the total are left out, because a partial sum is
  // wrong. May block for up to info().deadline; each source has its own thread.
  // Errors: kUnavailable (no value now: disabled, bus busy), kPermissionDenied, kInternal (an
  // impossible value), kDeadlineExceeded (network).
  virtual absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) = 0;
};

// A result of discovery: a source, or a present source that cannot be used.
struct Candidate {
  std::string name{};
  std::unique_ptr<Source> source{};  // null: `problem` has the reason and the remedy in one line
  absl::Status problem = absl::OkStatus();
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SOURCE_H_
