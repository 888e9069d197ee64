// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Profile rows as text: the operator's table, one row in full, and a class's seconds against joules
// over its power modes. Rows come from another machine and may hold any number; what is not finite
// and positive is shown as not known. Pure; thread-safe.
#ifndef WATTLE_CLI_PROFILE_VIEW_H_
#define WATTLE_CLI_PROFILE_VIEW_H_

#include <string>

#include "absl/time/time.h"
#include "cli/text_style.h"

#include "wattle/v1/job.pb.h"
#include "wattle/v1/service.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::cli {

struct ProfileFacts {
  v1::ListProfilesResponse profiles;  // All rows: intervals are as wide as errors of all rows ask.
  v1::ListDevicesResponse devices;    // Their names, and which of them could measure more.
  absl::Time now;
};

// The workload in words. An unknown setting holds for all: "any batch".
std::string WorkloadWords(const v1::WorkloadSignature& signature);

// "1.230 s", "456.000 ms", "78.0 µs"; "" for what is not finite and positive.
std::string UnitSeconds(double seconds);
std::string UnitEnergy(double joules);

// "slower by 31 % since 3 d: heat?", "" for a row whose device did not change. Heat is asked for
// only where the row's runs since the change were hotter by 5 °C, or throttled for 5 % more of
// their time, than those before.
std::string DriftWords(const v1::ProfileRow& row, absl::Time now);

// The rows of a class, or of all with device_class "", and under them what to measure next.
std::string RenderProfiles(const ProfileFacts& facts, const std::string& device_class,
                           const TextStyle& style);

// Every field, on several lines.
std::string RenderProfileRow(const v1::ProfileRow& row);

// For each workload that the class has measured rows of: seconds against joules of a unit of work
// in each power mode as a chart, the modes in words, and which of them no other mode beats in both.
std::string RenderFronts(const v1::ListProfilesResponse& profiles, const TextStyle& style);

// How many runs of a profile job have ended.
int EndedRuns(const v1::Job& job);

// The runs of a profile job that finished: seconds against joules of a unit of work as a chart, and
// which point no other one beats in both. Points that failed stand under it.
std::string RenderRunFront(const v1::Job& job, const TextStyle& style);

// "MODE_10W, batch 4".
std::string PointWords(const v1::ProfilePoint& point);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_PROFILE_VIEW_H_
