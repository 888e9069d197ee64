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
// What the coordinator tells of a job that waits, beside the job itself. Empty: it was not asked.
struct JobOutlook {
  v1::PlanResponse plan;     // Of the job alone, for its would_win_if.
  std::string ahead_job_id;  // Of the last attempt on the board of the job's place.
};
// With a plan: at most three changes with which another device than that of its place would win.
std::string RenderJob(const v1::Job& job, absl::Time now, const TextStyle& style,
                      const JobOutlook& outlook = {});

// One line for a change of state: "j12 active: placed on nano-1, fewest joules". For a repeated
// attempt the line has its number and the reason of the repetition: "attempt 2 of 3 on nano-1,
// because …".
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

// A receipt shows the predicted numbers beside those of the run. The head of the second column says
// how the run's numbers were found: measured, emulated, or modelled.
// attempt: the attempt whose receipt is shown. REQUIRES: attempt.has_receipt().
std::string RenderReceipt(const v1::Job& job, const v1::Attempt& attempt, const TextStyle& style);

// The receipts of the whole job. Where several attempts have one: what each of them took, and their
// total; then the last receipt in full. REQUIRES: at least one attempt has a receipt.
std::string RenderReceipts(const v1::Job& job, const TextStyle& style);

// The job's last attempt that has a receipt; nullptr where no attempt has one.
const v1::Attempt* LastReceipt(const v1::Job& job);

// Charts of the latest attempt that has a curve. The curve is the receipt's, or that of the
// progress where the attempt still runs. Returns a sentence where no attempt has a curve.
std::string RenderJobChart(const v1::Job& job, const TextStyle& style);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_JOB_VIEW_H_
