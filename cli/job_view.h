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
std::string RenderJob(const v1::Job& job, absl::Time now, const TextStyle& style);

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
