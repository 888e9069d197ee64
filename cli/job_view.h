// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Jobs and attempts as text. Pure; thread-safe.
#ifndef WATTLE_CLI_JOB_VIEW_H_
#define WATTLE_CLI_JOB_VIEW_H_

#include <string>

#include "absl/time/time.h"
#include "cli/text_style.h"

#include "wattle/v1/job.pb.h"
#include "wattle/v1/service.pb.h"

namespace wattle::cli {

std::string RenderJobs(const v1::ListJobsResponse& jobs, absl::Time now, const TextStyle& style);
std::string RenderJob(const v1::Job& job, absl::Time now, const TextStyle& style);

// "j12 active: placed on nano-1, fewest joules": a change of state, one line.
std::string RenderJobState(const v1::Job& job);
std::string RenderLogLine(const v1::LogLine& line);

[[nodiscard]] bool IsTerminal(v1::JobState state);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_JOB_VIEW_H_
