// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle submit: submits job files. It reads every file before it submits the first job.
#include "cli/submit.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/job_override.h"
#include "cli/job_view.h"
#include "cli/session.h"
#include "cli/watch.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

struct SubmitFlags {
  std::vector<std::string> files;
  std::vector<std::string> set;
  std::string project;
  SubmitOptions options;
};

// Adds what to do about a submit without an answer, which may have arrived.
absl::Status WithKey(const absl::Status& status, const std::string& file, const std::string& key) {
  if (!absl::IsDeadlineExceeded(status)) {
    return status;
  }
  return absl::Status(status.code(),
                      absl::StrCat(status.message(), "; ", file,
                                   " may have been accepted: repeat it as the same job with "
                                   "--idempotency-key ",
                                   key));
}

// Adds the ids of the jobs that were submitted before the error, so that they are not lost.
absl::Status WithSubmitted(const absl::Status& status,
                           const std::vector<v1::SubmitJobResponse>& submitted) {
  std::string ids;
  for (const v1::SubmitJobResponse& each : submitted) {
    absl::StrAppend(&ids, ids.empty() ? "" : ", ", each.job().job_id());
  }
  return ids.empty() ? status
                     : absl::Status(status.code(),
                                    absl::StrCat(status.message(), "; submitted before it: ", ids));
}

std::string NextSteps(const std::vector<v1::SubmitJobResponse>& submitted, bool watched) {
  std::string hints;
  for (const v1::SubmitJobResponse& each : submitted) {
    absl::StrAppend(&hints, "  wattle job ", watched ? "receipt " : "watch ", each.job().job_id(),
                    "\n");
  }
  return absl::StrCat("next:\n", hints);
}

// Prints one document: the service's answer for one file, a list of the jobs for several files.
void PrintSubmitted(Session& session, const std::vector<v1::SubmitJobResponse>& submitted,
                    bool watched) {
  const auto hints = [&] { return NextSteps(submitted, watched); };
  if (submitted.size() == 1) {
    session.Print(submitted.front(), hints);
    return;
  }
  v1::ListJobsResponse jobs;
  for (const v1::SubmitJobResponse& each : submitted) {
    *jobs.add_jobs() = each.job();
  }
  session.Print(jobs, hints);
}

absl::StatusOr<ExitCode> Submit(Session& session, const SubmitFlags& flags) {
  if (flags.files.size() > 1 && !flags.options.idempotency_key.empty()) {
    return absl::InvalidArgumentError(
        "--idempotency-key names one job; submit the files one by one");
  }
  std::vector<NamedSpec> specs;
  for (const std::string& file : flags.files) {
    WATTLE_ASSIGN_OR_RETURN(v1::JobSpec spec, ReadJob(file, flags.set, *session.environment().in));
    if (!flags.project.empty()) {
      spec.set_project(flags.project);
    }
    specs.push_back({file == "-" ? "standard input" : file, std::move(spec)});
  }
  return SubmitSpecs(session, specs, flags.options);
}

}  // namespace

absl::StatusOr<v1::SubmitJobResponse> SubmitSpec(Session& session, const NamedSpec& named,
                                                 const std::string& idempotency_key) {
  const std::string& file = named.label;
  v1::SubmitJobRequest request;
  *request.mutable_spec() = named.spec;
  // With TLS the coordinator knows who asks.
  if (session.plaintext() && request.spec().owner().empty()) {
    request.mutable_spec()->set_owner(session.environment().user_name());
  }
  request.set_idempotency_key(idempotency_key.empty() ? session.environment().new_key()
                                                      : idempotency_key);
  auto response = session.client().SubmitJob(request);
  if (!response.ok()) {
    // A job from flags has no file that an error could be in.
    const absl::Status status =
        file.empty() ? response.status() : WithContext(file, response.status());
    return WithKey(status, file.empty() ? "the job" : file, request.idempotency_key());
  }
  if (!session.json()) {
    session.PrintText(absl::StrCat(response->job().job_id(),
                                   response->existed() ? " was submitted before: " : " submitted: ",
                                   RenderJobState(response->job()), "\n"));
  }
  return response;
}

absl::StatusOr<ExitCode> SubmitSpecs(Session& session, const std::vector<NamedSpec>& specs,
                                     const SubmitOptions& options) {
  std::vector<v1::SubmitJobResponse> submitted;
  for (const NamedSpec& named : specs) {
    auto response = SubmitSpec(session, named, options.idempotency_key);
    if (!response.ok()) {
      return WithSubmitted(response.status(), submitted);
    }
    submitted.push_back(*std::move(response));
  }
  ExitCode code = ExitCode::kOk;
  for (v1::SubmitJobResponse& each : submitted) {
    if (!options.watch) {
      break;
    }
    const std::string job_id = each.job().job_id();
    WATTLE_ASSIGN_OR_RETURN(*each.mutable_job(), WatchUntilEnd(session, job_id, /*quiet=*/true));
    if (ReportEnd(session, each.job()) != ExitCode::kOk) {
      code = ExitCode::kJobFailed;
    }
  }
  PrintSubmitted(session, submitted, options.watch);
  return code;
}

void AddSubmitCommand(CLI::App* app, CommandSlot* slot) {
  CLI::App* leaf =
      AddLeaf(app, "submit", "Submit job files (YAML or JSON); prints the ids of the jobs.",
              "  wattle submit deploy/examples/finetune.yaml\n"
              "  wattle submit job.yaml --watch\n"
              "  make-job | wattle submit -\n"
              "  wattle submit job.yaml --set objective=time --set finetune.seed=2\n"
              "  id=$(wattle -o json submit job.yaml | jq -r .job.job_id)\n");
  const auto flags = std::make_shared<SubmitFlags>();
  leaf->add_option("FILE", flags->files, "Job files; - is the standard input")->required();
  leaf->add_flag("-w,--watch", flags->options.watch, "Show progress until the jobs have ended");
  leaf->add_option("--set", flags->set, "field=value instead of the file's; repeatable")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  leaf->add_option("--project", flags->project, "Of the jobs, instead of the file's")
      ->type_name("NAME");
  leaf->add_option(
          "--idempotency-key", flags->options.idempotency_key,
          "A second submit with this key gives the same job, no new one; default: a random key")
      ->type_name("KEY");
  slot->Bind(leaf, [flags](Session& session) { return Submit(session, *flags); });
}

}  // namespace wattle::cli
