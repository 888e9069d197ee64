// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/voltage_curve.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

#include "base/status_macros.h"

namespace wattle::telemetry {
namespace {

struct Point {
  double volts;
  double charge;
};

constexpr Point kLithiumIon[] = {
    {3.27, 0.00}, {3.61, 0.05}, {3.69, 0.10}, {3.71, 0.15}, {3.73, 0.20}, {3.75, 0.25},
    {3.77, 0.30}, {3.79, 0.35}, {3.80, 0.40}, {3.82, 0.45}, {3.84, 0.50}, {3.85, 0.55},
    {3.87, 0.60}, {3.91, 0.65}, {3.95, 0.70}, {3.98, 0.75}, {4.02, 0.80}, {4.08, 0.85},
    {4.11, 0.90}, {4.15, 0.95}, {4.20, 1.00}};
constexpr Point kLithiumIronPhosphate[] = {{2.500, 0.0}, {3.000, 0.1}, {3.200, 0.2}, {3.225, 0.3},
                                           {3.250, 0.4}, {3.260, 0.5}, {3.275, 0.6}, {3.300, 0.7},
                                           {3.325, 0.8}, {3.350, 0.9}, {3.400, 1.0}};
constexpr Point kLead[] = {{1.750, 0.0}, {1.918, 0.1}, {1.943, 0.2}, {1.968, 0.3},
                           {1.993, 0.4}, {2.017, 0.5}, {2.040, 0.6}, {2.062, 0.7},
                           {2.083, 0.8}, {2.103, 0.9}, {2.122, 1.0}};

constexpr double kErrorVolts = 0.05;
// Voltage error of a cell at rest: the meter, temperature, and the difference between makers'
// cells. A resting current moves the voltage further: the largest one, the capacity in ten hours,
// by 60 mV, which is 60 mOhm in a cell of 10 Ah.
constexpr double kRestErrorVolts = 0.02;
constexpr double kLoadErrorVolts = 0.06;

// A chemistry's properties besides its curve, not verified for any single cell. Rest times are
// those after which makers treat a voltage as resting; losses are of ampere-hours, not of energy.
struct Behaviour {
  absl::Duration rest_time;
  double charge_loss;
};

Behaviour BehaviourOf(Chemistry chemistry) {
  switch (chemistry) {
    case Chemistry::kLithiumIronPhosphate:
      return {absl::Hours(1), 0.02};
    case Chemistry::kLead:
      return {absl::Hours(4), 0.20};
    case Chemistry::kLithiumIon:
      break;
  }
  return {absl::Minutes(30), 0.02};
}

absl::Span<const Point> CurveOf(Chemistry chemistry) {
  switch (chemistry) {
    case Chemistry::kLithiumIronPhosphate:
      return kLithiumIronPhosphate;
    case Chemistry::kLead:
      return kLead;
    case Chemistry::kLithiumIon:
      break;
  }
  return kLithiumIon;
}

// Mean voltage of a cell over a whole discharge at rest.
double MeanVolts(Chemistry chemistry) {
  const absl::Span<const Point> curve = CurveOf(chemistry);
  double mean = 0;
  for (size_t i = 1; i < curve.size(); ++i) {
    mean += 0.5 * (curve[i].volts + curve[i - 1].volts) * (curve[i].charge - curve[i - 1].charge);
  }
  return mean;
}

VoltageBounds BoundsOf(const BatteryPack& pack, double volts, double amperes, double rest_volts) {
  const Watts drain(amperes * MeanVolts(pack.chemistry) * pack.cells);
  const double share = std::min(1.0, std::abs(drain / RestDrain(*pack.capacity)));
  const double error = kRestErrorVolts + share * kLoadErrorVolts;
  const Behaviour behaviour = BehaviourOf(pack.chemistry);
  return {.low = ChargeAtRest(pack.chemistry, std::min(volts, rest_volts) / pack.cells - error),
          .high = ChargeAtRest(pack.chemistry, std::max(volts, rest_volts) / pack.cells + error),
          .drain = drain,
          .rest_time = behaviour.rest_time,
          .charge_loss = behaviour.charge_loss};
}

}  // namespace

std::optional<BatteryPack> PackOf(const SourceSettings& entry) {
  const std::string chemistry = entry.Text("chemistry");
  if (chemistry.empty()) {
    return std::nullopt;
  }
  BatteryPack pack = {.cells = entry.Number("cells", 1)};
  if (chemistry == "lifepo4") {
    pack.chemistry = Chemistry::kLithiumIronPhosphate;
  } else if (chemistry == "lead") {
    pack.chemistry = Chemistry::kLead;
  }
  if (entry.Has("capacity_wh")) {
    pack.capacity = FromWattHours(entry.Number("capacity_wh", 0));
  }
  return pack;
}

Fraction ChargeAtRest(Chemistry chemistry, double volts_per_cell) {
  const absl::Span<const Point> curve = CurveOf(chemistry);
  if (volts_per_cell <= curve.front().volts) {
    return Fraction(0);
  }
  for (size_t i = 1; i < curve.size(); ++i) {
    const Point& low = curve[i - 1];
    const Point& high = curve[i];
    if (volts_per_cell <= high.volts) {
      const double share = (volts_per_cell - low.volts) / (high.volts - low.volts);
      return Fraction(low.charge + share * (high.charge - low.charge));
    }
  }
  return Fraction(1);
}

Fraction VoltageChargeError(Chemistry chemistry) {
  double worst = 0;
  // The curve has linear pieces, so the largest difference over a fixed width begins or ends at a
  // point.
  for (const Point& point : CurveOf(chemistry)) {
    for (const double shift : {-kErrorVolts, kErrorVolts}) {
      worst = std::max(
          worst, std::abs(ChargeAtRest(chemistry, point.volts + shift).value() - point.charge));
    }
  }
  return Fraction(worst);
}

absl::StatusOr<ChargeState> ChargeFromVoltage(const BatteryPack& pack, double volts) {
  const absl::Span<const Point> curve = CurveOf(pack.chemistry);
  const double cell = volts / pack.cells;
  // NaN compares false with everything.
  if (!(cell >= 0.5 * curve.front().volts && cell <= 1.3 * curve.back().volts)) {
    return absl::InternalError(absl::StrCat(
        volts, " V is no voltage of such a battery with ", pack.cells,
        " cells; correct `chemistry` and `cells` of the sensor, or look at the wires"));
  }
  return ChargeState{.state_of_charge = ChargeAtRest(pack.chemistry, cell),
                     .capacity = pack.capacity};
}

absl::StatusOr<ChargeState> ChargeFromVoltage(const BatteryPack& pack, double volts, double amperes,
                                              double resistance_ohms) {
  const double rest_volts = volts + amperes * resistance_ohms;
  WATTLE_ASSIGN_OR_RETURN(ChargeState charge, ChargeFromVoltage(pack, rest_volts));
  charge.draw = Watts(volts * amperes);
  charge.charging = amperes < 0;
  if (pack.capacity) {
    charge.by_voltage = BoundsOf(pack, volts, amperes, rest_volts);
  }
  return charge;
}

}  // namespace wattle::telemetry
