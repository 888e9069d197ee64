// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Lists jobs page by page: the state's jobs and the history's jobs as one list, newest first.
// Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_JOB_LIST_H_
#define WATTLE_COORDINATOR_RUNTIME_JOB_LIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "coordinator/core/projects.h"
#include "coordinator/core/state.h"
#include "coordinator/store/history.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/service.pb.h"

namespace wattle::runtime {

struct JobPage {
  std::vector<v1::Job> jobs;    // Not yet completed: see CompleteJob.
  std::string next_page_token;  // Empty: this is the last page.
};

// The jobs of the request within the scope. Errors: kInvalidArgument for a limit or token out of
// range; those of the history.
absl::StatusOr<JobPage> ListJobs(const core::State& state, store::History& history,
                                 const v1::ListJobsRequest& request, const core::Scope& scope);

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_JOB_LIST_H_
