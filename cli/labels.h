// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Words and numbers as every table writes them. Only this file enforces one rule: a number of an
// emulated device or of a model is never called measured. Thread-safe.
#ifndef WATTLE_CLI_LABELS_H_
#define WATTLE_CLI_LABELS_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include <google/protobuf/generated_enum_reflection.h>

#include "wattle/v1/coordinator.pb.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/energy.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/plan.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::cli {

// An enum value as job files write it: OBJECTIVE_ENERGY is "energy". Empty for _UNSPECIFIED.
std::string EnumWord(const google::protobuf::EnumDescriptor* type, int value);
template <typename E>
std::string Word(E value) {
  return EnumWord(google::protobuf::GetEnumDescriptor<E>(), static_cast<int>(value));
}

std::string ObjectiveWord(v1::Objective objective);  // the default by its name: "energy"
std::string DeviceClassWord(absl::string_view device_class, bool emulated);
std::string DeviceStateWord(const v1::Device& device);  // "idle", "busy", "drained" …
std::string ModelShapeWords(const v1::ModelShape& shape);
std::string UnitWord(v1::WorkUnit unit);  // "example", "training token"
std::string ProvenanceWords(const v1::Prediction& prediction);

// The job that the device runs, and how many attempts wait behind it: "j12 +2".
std::string DeviceJobWords(const v1::Device& device);
// "held by its owner until 2026-11-24 08:50:00 UTC"; "" where the owner does not hold the device.
std::string OwnerHoldWords(const v1::Device& device);

// How the numbers of a span were obtained: "measured", "emulated" or "modelled".
std::string EvidenceWord(v1::EnergySource source, bool emulated);
// The words for a sum over several sources: "measured", "emulated and modelled". "" for no source.
std::string EvidenceWords(const std::set<v1::EnergySource>& sources);
// The device's power now: "12.41 W", "5.04 W modelled". "" for an unreachable device, and for a
// device without a sensor between jobs, whose power is unknown.
std::string PowerWords(const v1::Device& device);
// The battery's charge: "83 %", and "83 ± 7 %" if the device reports the error. "" for a device
// without a battery.
std::string ChargeWords(const v1::Device& device);
// "ina3221, module"; "emulated, board_input: not measured".
std::string EnergySourceWords(const v1::EnergyMeasurement& energy, bool emulated);

// The name of an attempt's device at its placement, or the first digits of the id.
std::string AttemptDevice(const v1::Attempt& attempt);

// The number of digits, at least eight, that distinguishes the ids. Commands accept such prefixes
// as ids.
size_t UniqueDigits(const std::vector<std::string>& ids);

std::string FormatSeconds(
    double seconds);  // "11726", "83.4", "4.27"; the column's header has the unit
std::string FormatSeconds(const v1::Interval& range);        // "10553-12899 s"
std::string FormatEnergyRange(const v1::Interval& joules);   // "32.70-39.96 Wh"
std::string FormatCount(double count);                       // "812", "20,000", "5.12 M"
std::string FormatAge(absl::Time now, double unix_seconds);  // "3 min ago"; "" for 0
// "was last heard of 3 min ago". A coordinator that started later knows only when the device
// registered.
std::string LastHeardWords(const v1::Device& device, const v1::CoordinatorStatus& coordinator,
                           absl::Time now);
std::string FormatInstant(double unix_seconds);  // "2026-11-20 08:41:07 UTC"; "" for 0
std::string FormatClock(double unix_seconds);    // "08:41:07"; "" for 0
// "2026-11-24 09:40:00 UTC (90 %: 09:10:00 to 10:50:00)". The day of an end is written only if it
// differs. The span is left out if it is unknown (both ends 0) or has no length.
std::string FormatMoment(double unix_seconds, double low_unix_seconds, double high_unix_seconds);
std::string FormatScale(double time_scale);                     // "0.01", "1"
std::string FormatDifference(double predicted, double actual);  // "+3.1 %"; "" where predicted is 0

}  // namespace wattle::cli

#endif  // WATTLE_CLI_LABELS_H_
