// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle submit: submits job files. Reads every file before it submits the first job.
#include "cli/submit.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/job_override.h"
#include "cli/job_view.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/watch.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

// For more jobs than this, the hint names only the list of jobs.
constexpr size_t kJobsWithHints = 8;

struct SubmitFlags {
  std::vector<std::string> files;
  std::vector<std::string> set;
  std::string project;
  SubmitOptions options;
};

// Adds a hint for a submit without an answer, which may have arrived.
absl::Status WithKey(const absl::Status& status, const NamedSpec& named, const std::string& key) {
  const std::string file = named.label.empty() ? "the job" : named.label;
  if (!named.sweep_key.empty()) {
    return absl::Status(status.code(),
                        absl::StrCat(status.message(), "; repeat the file with --idempotency-key ",
                                     named.sweep_key, " for the jobs that were not accepted"));
  }
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
  if (submitted.size() > kJobsWithHints) {
    return absl::StrCat("next:\n  wattle jobs --limit ", submitted.size(), "\n");
  }
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

// The spec to send. With TLS the coordinator identifies the owner itself.
v1::JobSpec Owned(Session& session, v1::JobSpec spec) {
  if (session.plaintext() && spec.owner().empty()) {
    spec.set_owner(session.environment().user_name());
  }
  return spec;
}

// Checks that the coordinator would accept the job of a sweep.
absl::Status CheckAccepted(Session& session, const NamedSpec& named) {
  v1::PlanRequest request;
  *request.mutable_spec() = Owned(session, named.spec);
  const auto plan = session.client().Call(&JobStub::PlanJob, request);
  WATTLE_RETURN_IF_ERROR(WithContext(named.label, plan.status()));
  if (!plan->certain_failure().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(named.label, ": ", plan->certain_failure()));
  }
  const bool never =
      !plan->candidates().empty() &&
      std::all_of(plan->candidates().begin(), plan->candidates().end(),
                  [](const v1::Candidate& one) { return !one.feasible() && one.permanent(); });
  return never ? absl::FailedPreconditionError(absl::StrCat(named.label, ": ", plan->reason()))
               : absl::OkStatus();
}

absl::StatusOr<ExitCode> Submit(Session& session, const SubmitFlags& flags) {
  if (flags.files.size() > 1 && !flags.options.idempotency_key.empty()) {
    return absl::InvalidArgumentError(
        "--idempotency-key names the jobs of one file; submit the files one by one");
  }
  std::vector<NamedSpec> specs;
  for (const std::string& file : flags.files) {
    WATTLE_ASSIGN_OR_RETURN(std::vector<v1::JobSpec> jobs,
                            ReadJobs(file, flags.set, *session.environment().in));
    const std::string label = file == "-" ? "standard input" : file;
    const bool is_sweep = jobs.size() > 1;
    const std::string sweep_key = !is_sweep ? ""
                                  : flags.options.idempotency_key.empty()
                                      ? session.environment().new_key()
                                      : flags.options.idempotency_key;
    int number = 0;
    for (v1::JobSpec& spec : jobs) {
      if (!flags.project.empty()) {
        spec.set_project(flags.project);
      }
      const std::string of_job = is_sweep ? absl::StrCat(label, ": ", spec.name()) : label;
      specs.push_back({of_job, std::move(spec), sweep_key, ++number});
    }
  }
  return SubmitSpecs(session, specs, flags.options);
}

std::string KeyOf(Session& session, const NamedSpec& named, const std::string& given) {
  if (!named.sweep_key.empty()) {
    return absl::StrCat(named.sweep_key, "-", named.sweep_number);
  }
  return given.empty() ? session.environment().new_key() : given;
}

}  // namespace

absl::StatusOr<v1::SubmitJobResponse> SubmitSpec(Session& session, const NamedSpec& named,
                                                 const std::string& idempotency_key) {
  v1::SubmitJobRequest request;
  *request.mutable_spec() = Owned(session, named.spec);
  request.set_idempotency_key(KeyOf(session, named, idempotency_key));
  auto response = session.client().SubmitJob(request);
  if (!response.ok()) {
    // A job from flags has no file to name in the error.
    const absl::Status status =
        named.label.empty() ? response.status() : WithContext(named.label, response.status());
    return WithKey(status, named, request.idempotency_key());
  }
  if (!session.json()) {
    session.PrintText(absl::StrCat(
        response->job().job_id(), response->existed() ? " was submitted before: " : " submitted: ",
        RenderJobState(response->job()),
        named.sweep_key.empty() ? "" : absl::StrCat(" (", Printable(named.spec.name()), ")"),
        "\n"));
  }
  return response;
}

absl::StatusOr<ExitCode> SubmitSpecs(Session& session, const std::vector<NamedSpec>& specs,
                                     const SubmitOptions& options) {
  for (const NamedSpec& named : specs) {
    if (!named.sweep_key.empty()) {
      WATTLE_RETURN_IF_ERROR(CheckAccepted(session, named));
    }
  }
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
      AddLeaf(app, "submit",
              "Submit job files (YAML or JSON); prints the ids of the jobs. A file with a sweep is "
              "several jobs, which are all planned before the first is submitted.",
              "  wattle submit deploy/examples/finetune.yaml\n"
              "  wattle submit job.yaml --watch\n"
              "  wattle submit deploy/examples/sweep.yaml\n"
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
          "A second submit with this key gives the same job, or the same jobs of a sweep, no new "
          "one; default: a random key")
      ->type_name("KEY");
  slot->Bind(leaf, [flags](Session& session) { return Submit(session, *flags); });
}

}  // namespace wattle::cli
