// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/watch.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/job_output.h"
#include "cli/job_view.h"
#include "cli/json_output.h"
#include "cli/progress.h"
#include "cli/text_stream.h"

namespace wattle::cli {

namespace {

// The rest of a single prompt's text, which the updates did not show before the job ended, and a
// newline. Empty if the text cannot be read: 'wattle job output' gives the reason.
std::string RestOfText(Session& session, const v1::Job& job, const TextStream& text) {
  std::string rest;
  if (job.state() == v1::JOB_STATE_SUCCEEDED && job.spec().generate().prompts_size() == 1) {
    const auto output = ReadJobOutput(session.client(), job);
    if (output.ok() && output->generations.size() == 1) {
      rest = text.Rest(output->generations.front().text);
    }
  }
  const bool ends_line = rest.empty() ? text.ends_line() : absl::EndsWith(rest, "\n");
  return ends_line ? rest : absl::StrCat(rest, "\n");
}

// A line about the running attempt adds nothing to the text that it generates. A fast attempt's
// text arrives first, and such a line would split it.
bool IsToldByText(const v1::JobUpdate& update, const TextStream& text) {
  const auto& attempts = update.job().attempts();
  return text.has_text() && !attempts.empty() &&
         attempts.rbegin()->state() == v1::ATTEMPT_STATE_RUNNING &&
         attempts.rbegin()->attempt_id() == update.progress().attempt_id();
}

}  // namespace

absl::StatusOr<v1::Job> WatchUntilEnd(Session& session, const std::string& job_id, bool quiet,
                                      const std::function<void(const v1::Job&)>& on_job) {
  const Environment& environment = session.environment();
  LiveLine line(*environment.out, environment.style, *environment.clock);
  TextStream text;
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
        const bool has_ended = IsTerminal(update.job().state());
        const bool is_new = state != last_state;
        if (is_new && !has_ended && !IsToldByText(update, text)) {
          if (!text.ends_line()) {
            *environment.out << "\n";
          }
          line.Print(state);
        }
        const std::string more = text.More(update.progress());
        if (!more.empty()) {
          line.Clear();
          *environment.out << more << std::flush;
        }
        if (has_ended) {
          line.Clear();
          *environment.out << RestOfText(session, update.job(), text) << std::flush;
          line.Print(state);
        }
        if (is_new) {
          last_state = std::move(state);
          on_job(update.job());
        }
        if (text.has_text()) {
          return;  // the text itself is the progress
        }
        if (!update.progress().attempt_id().empty() && !has_ended) {
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
