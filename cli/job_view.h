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

// Of whole jobs and of summaries.
std::string RenderJobs(const v1::ListJobsResponse& jobs, absl::Time now, const TextStyle& style);
std::string RenderJob(const v1::Job& job, absl::Time now, const TextStyle& style);

// "j12 active: placed on nano-1, fewest joules": a change of state, one line. A repeated attempt
// says which one it is and why there is another: "attempt 2 of 3 on nano-1, because …".
std::string RenderJobState(const v1::Job& job);
// Gross joules of all attempts that have a receipt, with what they are: "49.1 J modelled, of 2
// attempts". Empty where none has one.
std::string JobEnergyWords(const v1::Job& job);
// What a list shows of the job.
v1::JobSummary Summarize(const v1::Job& job);
std::string RenderLogLine(const v1::LogLine& line);

[[nodiscard]] bool IsTerminal(v1::JobState state);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_JOB_VIEW_H_
