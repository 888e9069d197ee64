// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// State of charge from a battery's voltage, for batteries without a gauge. The voltage of a resting
// cell falls with its charge. Load, cold and age also change the voltage, so this is the coarsest
// gauge, and its error is stated. Pure.
//
// The curves (volts at rest, 25 °C) are the common tables of makers and chargers, rounded to 5 mV:
// LiCoO2/NMC cells from 3.27 V to 4.20 V; LiFePO4 from 2.50 V to 3.40 V; lead-acid from 1.75 V to
// 2.12 V for each of the six cells of a 12 V battery. No single cell was measured to verify them.
#ifndef WATTLE_TELEMETRY_SENSORS_VOLTAGE_CURVE_H_
#define WATTLE_TELEMETRY_SENSORS_VOLTAGE_CURVE_H_

#include <optional>

#include "absl/status/statusor.h"

#include "telemetry/sensors/settings.h"
#include "telemetry/sensors/source.h"
#include "units/quantity.h"

namespace wattle::telemetry {

enum class Chemistry { kLithiumIon, kLithiumIronPhosphate, kLead };

// A battery of equal cells in series.
struct BatteryPack {
  Chemistry chemistry = Chemistry::kLithiumIon;
  double cells = 1;
  std::optional<Joules> capacity{};
};

// The settings that describe a battery, for all kinds that have them.
inline constexpr Setting kChemistrySetting = {
    .name = "chemistry",
    .meaning = "of the battery, whose charge then follows from its voltage",
    .choices = "li-ion|lifepo4|lead"};
inline constexpr Setting kCellsSetting = {
    .name = "cells",
    .meaning = "in series; absent: 1. A 12 V lead battery has 6",
    .low = 1,
    .high = 1000};
inline constexpr Setting kCapacitySetting = {
    .name = "capacity_wh", .meaning = "watt-hours of the full battery", .low = 0.1, .high = 1e6};

inline constexpr Setting kResistanceSetting = {
    .name = "resistance_ohms",
    .meaning = "of the battery between its terminals, by which its voltage moves under load",
    .low = 0,
    .high = 10};

// The battery of the entry; nullopt: the entry names no chemistry.
std::optional<BatteryPack> PackOf(const SourceSettings& entry);

// The largest power, out of the battery or into it, that counts as rest: the capacity in ten hours.
// This current moves the voltage of a cell by no more than VoltageBounds allows for.
constexpr Watts RestDrain(Joules capacity) {
  return Watts(capacity.value() / (10 * 3600.0));
}

// The charge, 0 to 1: linear between the points of the chemistry's curve, 0 below and 1 above it.
Fraction ChargeAtRest(Chemistry chemistry, double volts_per_cell);

// The stated error: the largest change of the charge by 50 mV per cell (a load or a charger of
// about 1 A, cold, or the meter's error), at the flattest part of the curve. A stronger load lowers
// the voltage further; a stronger charger raises it.
Fraction VoltageChargeError(Chemistry chemistry);

// Errors: kInternal for a voltage that such a battery cannot have (below half of empty, or above
// 1.3 × full): a wrong number of cells, or a loose wire.
absl::StatusOr<ChargeState> ChargeFromVoltage(const BatteryPack& pack, double volts);

// ChargeFromVoltage with a current out of the battery (negative: into it), which moves the voltage.
// Also sets `draw` and `charging`, and `by_voltage` if the pack's capacity is known.
// resistance_ohms: the battery's resistance between its terminals; 0: unknown.
absl::StatusOr<ChargeState> ChargeFromVoltage(const BatteryPack& pack, double volts, double amperes,
                                              double resistance_ohms);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_VOLTAGE_CURVE_H_
