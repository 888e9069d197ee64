// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Jobs, plans, attempts, receipts and charts of a run as text. Pure; thread-safe.
#ifndef WATTLE_CLI_JOB_VIEW_H_
#define WATTLE_CLI_JOB_VIEW_H_

#include <string>

#include "absl/time/time.h"
#include "cli/text_style.h"

#include "proto/state_names.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/plan.pb.h"
#include "wattle/v1/service.pb.h"

namespace wattle::cli {

// A table of jobs, whole or as summaries.
std::string RenderJobs(const v1::ListJobsResponse& jobs, absl::Time now, const TextStyle& style);
// The coordinator's answers about a waiting job, besides the job itself. Empty: not requested.
struct JobOutlook {
  v1::PlanResponse plan;     // of only this job, for its would_win_if
  std::string ahead_job_id;  // the job of the last attempt on the board of the job's place
};
// With a plan, shows at most three changes with which another device than that of the job's place
// would win.
std::string RenderJob(const v1::Job& job, absl::Time now, const TextStyle& style,
                      const JobOutlook& outlook = {});

// One line for a change of state: "j12 active: placed on nano-1, fewest joules". For a repeated
// attempt the line contains its number and the reason for the repetition: "attempt 2 of 3 on
// nano-1, because …".
std::string RenderJobState(const v1::Job& job);
// Gross joules of all attempts that have a receipt, with their source: "49.1 J modelled, of 2
// attempts". "" where no attempt has a receipt.
std::string JobEnergyWords(const v1::Job& job);
std::string RenderLogLine(const v1::LogLine& line);

// A plan: for every device the seconds and joules that the job would take there, or the rule that
// refuses the device; the chosen device is marked, with the reason. spec: the job that was planned;
// the heading shows it.
std::string RenderPlan(const v1::JobSpec& spec, const v1::PlanResponse& plan,
                       const TextStyle& style);

// "with batch_size 2: 1.90 Wh; with a deadline 3 h later: 2.10 Wh", the first `changes_max` changes
// that would make the device the choice, with their cost by the objective.
std::string WinningChangesWords(const v1::Candidate& candidate, v1::Objective objective,
                                int changes_max);

// A receipt shows the predicted numbers beside those of the run. The header of the second column
// states how the run's numbers were obtained: measured, emulated, or modelled. attempt: the attempt
// whose receipt is shown. REQUIRES: attempt.has_receipt().
std::string RenderReceipt(const v1::Job& job, const v1::Attempt& attempt, const TextStyle& style);

// The receipts of the whole job. If several attempts have one: the cost of each attempt and their
// total; then the last receipt in full. REQUIRES: at least one attempt has a receipt.
std::string RenderReceipts(const v1::Job& job, const TextStyle& style);

// The job's last attempt that has a receipt; nullptr if no attempt has one.
const v1::Attempt* LastReceipt(const v1::Job& job);

// Charts of the latest attempt that has a curve. The curve is from the receipt, or from the
// progress of a running attempt. Returns a sentence if no attempt has a curve.
std::string RenderJobChart(const v1::Job& job, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_JOB_VIEW_H_
