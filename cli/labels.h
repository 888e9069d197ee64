// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Words and numbers as every table writes them. One rule lives here alone: what an emulated device
// or a model gave is never called measured. Thread-safe.
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

std::string ObjectiveWord(v1::Objective objective);  // the default named: "energy"
std::string DeviceClassWord(absl::string_view device_class, bool emulated);
std::string DeviceStateWord(const v1::Device& device);  // "idle", "busy", "drained" …
std::string ModelShapeWords(const v1::ModelShape& shape);
std::string UnitWord(v1::WorkUnit unit);  // "example", "training token"
std::string ProvenanceWords(const v1::Prediction& prediction);

// What the numbers of a span may be called: "measured", "emulated", "modelled".
std::string EvidenceWord(v1::EnergySource source, bool emulated);
// The same of a sum over several sources: "measured", "emulated and modelled". Empty of none.
std::string EvidenceWords(const std::set<v1::EnergySource>& sources);
// What the attempt's joules come from; an emulated device's count as emulated.
v1::EnergySource SourceOf(const v1::Receipt& receipt);
// What the device draws now: "12.41 W", "5.04 W modelled"; empty where no sensor tells, and of a
// device that cannot be reached. Between jobs a device without a sensor draws nobody knows what.
std::string PowerWords(const v1::Device& device);
// "ina3221, module"; "emulated, board_input: not measured".
std::string EnergySourceWords(const v1::EnergyMeasurement& energy, bool emulated);

// Name of the device of an attempt as its placement knew it, else the first digits of the id.
std::string AttemptDevice(const v1::Attempt& attempt);
// The chosen candidate of a placement; nullptr where the placement does not carry it.
const v1::Candidate* ChosenCandidate(const v1::Placement& placement);

// As many digits as tell the ids apart, eight at least: what a command takes for one of them.
size_t UniqueDigits(const std::vector<std::string>& ids);

std::string FormatSeconds(double seconds);  // "11726", "83.4", "4.27": the head names the unit
std::string FormatSeconds(const v1::Interval& range);        // "10553-12899 s"
std::string FormatEnergyRange(const v1::Interval& joules);   // "32.70-39.96 Wh"
std::string FormatCount(double count);                       // "812", "20,000", "5.12 M"
std::string FormatAge(absl::Time now, double unix_seconds);  // "3 min ago"; "" for 0
std::string FormatInstant(double unix_seconds);              // "2026-11-20 08:41:07 UTC"; "" for 0
std::string FormatClock(double unix_seconds);                // "08:41:07"; "" for 0
std::string FormatScale(double time_scale);                  // "0.01", "1"
std::string FormatDifference(double predicted, double actual);  // "+3.1 %"; "" where predicted is 0

}  // namespace wattle::cli

#endif  // WATTLE_CLI_LABELS_H_
