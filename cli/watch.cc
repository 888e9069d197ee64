// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/watch.h"

#include "absl/strings/str_cat.h"
#include "cli/job_view.h"
#include "cli/json_output.h"
#include "cli/progress.h"

namespace wattle::cli {

absl::StatusOr<v1::Job> WatchUntilEnd(Session& session, const std::string& job_id, bool quiet) {
  const Environment& environment = session.environment();
  LiveLine line(*environment.out, environment.style, *environment.clock);
  v1::Job last;
  std::string last_state;
  const absl::Status status = session.client().WatchJob(
      job_id,
      [&](const v1::JobUpdate& update) {
        last = update.job();
        if (session.json()) {
          if (!quiet) {
            session.PrintText(ToJsonLine(update));
          }
          return;
        }
        std::string state = RenderJobState(update.job());
        if (state != last_state) {
          line.Print(state);
          last_state = std::move(state);
        }
        if (!update.progress().attempt_id().empty() && !IsTerminal(update.job().state())) {
          line.Update(RenderJobProgress(update, environment.style));
        }
      },
      [&](const absl::Status& why) {
        line.Clear();
        session.PrintRemark(absl::StrCat("wattle: ", why.message(), "; trying again"));
      });
  line.Clear();
  if (absl::IsCancelled(status)) {
    return absl::CancelledError(absl::StrCat("interrupted; ", job_id, " goes on: wattle job watch ",
                                             job_id, ", or stop it: wattle job cancel ", job_id));
  }
  if (!status.ok()) {
    return status;
  }
  if (!IsTerminal(last.state())) {
    return absl::InternalError(absl::StrCat("the coordinator stopped telling of ", job_id,
                                            " before it ended; see wattle job show ", job_id));
  }
  return last;
}

ExitCode ReportEnd(Session& session, const v1::Job& job) {
  if (job.state() == v1::JOB_STATE_SUCCEEDED) {
    return ExitCode::kOk;
  }
  session.PrintRemark(
      absl::StrCat("wattle: ", RenderJobState(job), "; see wattle job logs ", job.job_id()));
  return ExitCode::kJobFailed;
}

}  // namespace wattle::cli
