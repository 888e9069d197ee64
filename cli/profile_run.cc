// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/profile_run.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/job_override.h"
#include "cli/job_view.h"
#include "cli/profile_view.h"
#include "cli/submit.h"
#include "cli/watch.h"
#include <CLI/App.hpp>

#include "base/status_macros.h"
#include "formats/job_file.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"

namespace wattle::cli {
namespace {

constexpr char kDeviceLabel[] = "device=";

struct ProfileRunFlags {
  std::string file;
  std::string device;
  std::vector<std::string> set;
  double budget_wh = 0;
  bool has_budget = false;
  bool modes = false;
  std::vector<int> batches;
  double run_seconds = 0;
  int runs_max = 0;
  bool dry_run = false;
};

// Moves the section of the file's kind into the profile section.
absl::Status Wrap(const std::string& file, v1::JobSpec& spec) {
  if (KindOf(spec).shorten == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": is a job of the kind ", KindName(spec),
                     "; profile run measures finetune, generate and evaluate",
                     KindOf(spec).wraps_workload ? ", and wattle submit takes this file" : ""));
  }
  const auto* const from = v1::JobSpec::descriptor()->FindFieldByName(KindName(spec));
  const auto* const to = v1::ProfileSpec::descriptor()->FindFieldByName(KindName(spec));
  v1::ProfileSpec profile;
  profile.GetReflection()
      ->MutableMessage(&profile, to)
      ->CopyFrom(spec.GetReflection()->GetMessage(spec, from));
  *spec.mutable_profile() = std::move(profile);
  return absl::OkStatus();
}

// The job that measures the file's workload. Settings of the file's own job do not apply to its
// measurement: another device, a deadline, a budget, a quality floor.
absl::StatusOr<v1::JobSpec> SpecOf(const ProfileRunFlags& flags, std::istream& input) {
  if (flags.has_budget && flags.budget_wh <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--budget: ", flags.budget_wh,
                     " Wh measures nothing; give more, or leave it out for the share of a day that "
                     "the policies leave for exploring"));
  }
  WATTLE_ASSIGN_OR_RETURN(v1::JobSpec spec, ReadJob(flags.file, flags.set, input));
  WATTLE_RETURN_IF_ERROR(Wrap(flags.file, spec));
  auto& labels = *spec.mutable_required_labels();
  labels.erase(std::remove_if(
                   labels.begin(), labels.end(),
                   [](const std::string& label) { return absl::StartsWith(label, kDeviceLabel); }),
               labels.end());
  spec.add_required_labels(absl::StrCat(kDeviceLabel, flags.device));
  spec.clear_deadline_seconds();
  spec.clear_quality_floor();
  spec.set_energy_budget_wh(flags.budget_wh);
  v1::ProfileSpec& profile = *spec.mutable_profile();
  profile.set_all_power_modes(flags.modes);
  profile.mutable_batch_sizes()->Assign(flags.batches.begin(), flags.batches.end());
  profile.set_run_seconds(flags.run_seconds);
  profile.set_runs_max(flags.runs_max);
  return spec;
}

// Checks that the device could begin now, or is only busy. Prints the job's cost.
absl::Status CheckPlan(Session& session, const v1::JobSpec& spec, const std::string& device_id,
                       const std::string& file) {
  v1::PlanRequest request;
  *request.mutable_spec() = spec;
  const auto plan = session.client().Call(&JobStub::PlanJob, request);
  WATTLE_RETURN_IF_ERROR(WithContext(file, plan.status()));
  if (!plan->certain_failure().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", plan->certain_failure()));
  }
  for (const v1::Candidate& candidate : plan->candidates()) {
    if (candidate.device_id() == device_id && !candidate.feasible()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "profile run: ", candidate.device_name(), ": ", candidate.reason(),
          candidate.permanent() ? ""
                                : "; wattle submit takes the job file of --dry-run and waits"));
    }
  }
  if (!session.json()) {
    session.PrintText(absl::StrCat(plan->reason(), "\n"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> RunProfile(Session& session, const ProfileRunFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(v1::JobSpec spec, SpecOf(flags, *session.environment().in));
  if (flags.dry_run) {
    session.Print(spec, [&] { return formats::JobFileText(spec); });
    return ExitCode::kOk;
  }
  WATTLE_ASSIGN_OR_RETURN(const v1::Device device,
                          session.client().Call(&DeviceStub::GetDevice, flags.device));
  if (flags.modes && !device.info().sets_power_modes()) {
    return absl::FailedPreconditionError(
        absl::StrCat("--modes: the worker of ", flags.device,
                     device.info().power_modes().empty()
                         ? " knows no power modes of its board; leave --modes out"
                         : " may not set power modes; start it with --allow-power-modes, or leave "
                           "--modes out"));
  }
  // The flag may be the beginning of an id, for one of several devices with the same name.
  const v1::DeviceInfo& info = device.info();
  *spec.mutable_required_labels()->rbegin() =
      absl::StrCat(kDeviceLabel, flags.device == info.name() ? info.name() : info.device_id());
  WATTLE_RETURN_IF_ERROR(CheckPlan(session, spec, info.device_id(), flags.file));
  WATTLE_ASSIGN_OR_RETURN(v1::SubmitJobResponse submitted,
                          SubmitSpec(session, {flags.file, spec}, /*idempotency_key=*/""));
  int ended = 0;
  const auto show_front = [&](const v1::Job& job) {
    const int now = EndedRuns(job);
    if (now > std::exchange(ended, now)) {
      session.PrintText(RenderRunFront(job, session.style()));
    }
  };
  WATTLE_ASSIGN_OR_RETURN(*submitted.mutable_job(), WatchUntilEnd(session, submitted.job().job_id(),
                                                                  /*quiet=*/true, show_front));
  const v1::Job& job = submitted.job();
  session.Print(submitted, [&] {
    return absl::StrCat(job.job_id(), ": ", JobEnergyWords(job), "\nnext:\n  wattle job receipt ",
                        job.job_id(), "\n  wattle profiles --class ", device.info().device_class(),
                        "\n");
  });
  return ReportEnd(session, job);
}

}  // namespace

void AddProfileRun(CLI::App* noun, CommandSlot* slot) {
  const auto flags = std::make_shared<ProfileRunFlags>();
  CLI::App* leaf = AddLeaf(
      noun, "run",
      "Measure a workload on one device by short runs, in its power modes and several batches. The "
      "next run is the one that tells most for its joules; it ends when the next would tell less "
      "than 1 %.",
      "  wattle profile run finetune.yaml --device orin-1 --modes --budget 2\n"
      "  wattle profile run generate.yaml --device orin-1 --batch 1,2,4 --budget 0.5\n"
      "  wattle profile run finetune.yaml --device orin-1 --modes --dry-run > front.yaml\n");
  leaf->add_option("FILE", flags->file,
                   "Job file of the kind finetune, generate or evaluate; - is the standard input")
      ->required();
  leaf->add_option("--device", flags->device, "The device to measure")
      ->type_name("NAME")
      ->required();
  leaf->add_option_function<double>(
          "--budget",
          [flags](double watt_hours) {
            flags->budget_wh = watt_hours;
            flags->has_budget = true;
          },
          "Watt-hours that all runs may draw together; default: the policies' exploration_ratio of "
          "the device's joules of a day")
      ->type_name("WH");
  leaf->add_flag("--modes", flags->modes, "In all power modes that the device's worker may set");
  leaf->add_option("--batch", flags->batches, "Batches to try; default: the file's own")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->type_name("N,N");
  leaf->add_option("--seconds", flags->run_seconds,
                   "Device seconds of a run's work, 1 to 600; default 20")
      ->check(CLI::Range(1.0, 600.0))
      ->type_name("S");
  leaf->add_option("--runs", flags->runs_max, "Runs at most, 1 to 100; default 20")
      ->check(CLI::Range(1, 100))
      ->type_name("N");
  leaf->add_option("--set", flags->set, "field=value instead of the file's; repeatable")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  leaf->add_flag("--dry-run", flags->dry_run, "Print the job file and submit nothing");
  slot->Bind(leaf, [flags](Session& session) { return RunProfile(session, *flags); });
}

}  // namespace wattle::cli
