// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Following a job until it has ended: `job watch` and `submit --watch`.
#ifndef WATTLE_CLI_WATCH_H_
#define WATTLE_CLI_WATCH_H_

#include <string>

#include "absl/status/statusor.h"
#include "cli/session.h"

#include "wattle/v1/job.pb.h"

namespace wattle::cli {

// Shows progress on the output (JSON: a line for each update, unless `quiet`) and returns the job
// as it ended. An interrupt ends the watching, never the job.
absl::StatusOr<v1::Job> WatchUntilEnd(Session& session, const std::string& job_id, bool quiet);

// kOk for a job that succeeded, else kJobFailed with a remark on the error stream.
ExitCode ReportEnd(Session& session, const v1::Job& job);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_WATCH_H_
