// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Profile rows as text: the operator's table, one row in full, and a class's seconds against joules
// over its power modes. Rows come from another machine and may hold any number; a value that is not
// finite and positive is shown as unknown. Pure; thread-safe.
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
  v1::ListProfilesResponse profiles;  // all rows, whose errors determine the intervals
  v1::ListDevicesResponse devices;    // for their names, and which of them could measure more
  absl::Time now;
};

// The workload in words. An unset setting stands for all: "any batch".
std::string WorkloadWords(const v1::WorkloadSignature& signature);

// "1.230 s", "456.000 ms", "78.0 µs"; "" for a value that is not finite and positive.
std::string UnitSeconds(double seconds);
std::string UnitEnergy(double joules);

// "slower by 31 % since 3 d: heat?", "" for a row whose device did not change. The question about
// heat appears only if the runs since the change were hotter by 5 °C, or throttled for 5 % more of
// their time, than the earlier runs.
std::string DriftWords(const v1::ProfileRow& row, absl::Time now);

// The rows of a class, or of all with device_class "", and below them the next measurement.
std::string RenderProfiles(const ProfileFacts& facts, const std::string& device_class,
                           const TextStyle& style);

// Every field, on several lines.
std::string RenderProfileRow(const v1::ProfileRow& row);

// For each workload with measured rows in the class: a chart of seconds against joules for a unit
// of work in each power mode, the modes in words, and the modes that no other mode beats in both.
std::string RenderFronts(const v1::ListProfilesResponse& profiles, const TextStyle& style);

// The number of ended runs of a profile job.
int EndedRuns(const v1::Job& job);

// The finished runs of a profile job: a chart of seconds against joules for a unit of work, and the
// points that no other one beats in both. Failed points are listed below.
std::string RenderRunFront(const v1::Job& job, const TextStyle& style);

// "MODE_10W, batch 4".
std::string PointWords(const v1::ProfilePoint& point);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_PROFILE_VIEW_H_
