// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Lists of jobs, page by page: those of the state and those of the history as one list, newest
// first. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_JOB_LIST_H_
#define WATTLE_COORDINATOR_RUNTIME_JOB_LIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "coordinator/core/state.h"
#include "coordinator/store/history.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/service.pb.h"

namespace wattle::runtime {

struct JobPage {
  std::vector<v1::Job> jobs;    // As stored: see core::CompleteJob.
  std::string next_page_token;  // Empty: that was all.
};

// The jobs that the request asks for. Errors: kInvalidArgument for a limit or token out of range;
// those of the history.
absl::StatusOr<JobPage> ListJobs(const core::State& state, store::History& history,
                                 const v1::ListJobsRequest& request);

// What a list shows of the job.
v1::JobSummary Summarize(const v1::Job& job);

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_JOB_LIST_H_
