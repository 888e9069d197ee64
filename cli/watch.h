// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Follows a job until it has ended: `job watch` and `submit --watch`.
#ifndef WATTLE_CLI_WATCH_H_
#define WATTLE_CLI_WATCH_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "cli/session.h"

#include "wattle/v1/job.pb.h"

namespace wattle::cli {

// Shows progress until the job has ended, and returns the ended job. With -o json: one line for
// each update, or none where `quiet`. An interrupt ends the watch; the job continues. on_job:
// called with the job after each line about its state, and may print lines; not called with -o
// json.
absl::StatusOr<v1::Job> WatchUntilEnd(
    Session& session, const std::string& job_id, bool quiet,
    const std::function<void(const v1::Job&)>& on_job = [](const v1::Job&) {});

// kOk for a job that succeeded; otherwise kJobFailed, after a remark on the error stream.
ExitCode ReportEnd(Session& session, const v1::Job& job);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_WATCH_H_
