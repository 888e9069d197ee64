// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle probe: short jobs that measure the speed, the joules and the quality of a model and of
// those quantized from it, so that jobs with a quality floor may be offered these models. The
// alternatives of the coordinator's plan list what is not yet measured.
#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/labels.h"
#include "cli/session.h"
#include "cli/submit.h"
#include "cli/table.h"
#include <CLI/App.hpp>
#include <CLI/Validators.hpp>

#include "base/status_macros.h"

namespace wattle::cli {
namespace {

// Enough tokens for a mean, few enough for a battery.
constexpr int kProbeTokens = 48;
constexpr int kProbeWindows = 64;
constexpr int kProbeQuestions = 16;  // with generated answers: a question takes up to 32 tokens
constexpr const char* kProbePrompts[] = {"The battery of the mast is", "Every morning the farmer"};
// Every model meets this floor: the plan is requested only for its alternatives.
constexpr double kAnyChangePercent = 1000;

struct ProbeFlags {
  std::string model;
  std::string data;
  std::string kind = "generate";
  bool score_answers = false;
  std::string reference_model;
  std::vector<std::string> devices;
  bool again = false;
  SubmitOptions options;
};

// A job of the probed kind, with this model.
v1::JobSpec JobWith(const ProbeFlags& flags, const std::string& model) {
  v1::JobSpec spec;
  if (flags.kind == "evaluate") {
    v1::EvaluateSpec& evaluate = *spec.mutable_evaluate();
    evaluate.set_model(model);
    evaluate.set_data(flags.data);
    evaluate.set_score_answers(flags.score_answers);
    evaluate.set_reference_model(flags.reference_model);
    evaluate.set_limit_examples(flags.score_answers ? kProbeQuestions : kProbeWindows);
    return spec;
  }
  spec.mutable_generate()->set_model(model);
  for (const char* prompt : kProbePrompts) {
    spec.mutable_generate()->add_prompts(prompt);
  }
  spec.mutable_generate()->set_max_new_tokens(kProbeTokens);
  return spec;
}

bool IsNamed(const ProbeFlags& flags, const v1::Candidate& candidate) {
  return std::any_of(flags.devices.begin(), flags.devices.end(), [&](const std::string& device) {
    return device == candidate.device_name() || device == candidate.device_id();
  });
}

// The devices to probe: the named ones, or one of each class that can take work.
std::vector<const v1::Candidate*> DevicesToProbe(const ProbeFlags& flags,
                                                 const v1::PlanResponse& plan) {
  std::vector<const v1::Candidate*> devices;
  std::set<std::pair<std::string, bool>> classes;
  for (const v1::Candidate& candidate : plan.candidates()) {
    if (!flags.devices.empty()) {
      if (IsNamed(flags, candidate)) {
        devices.push_back(&candidate);
      }
      continue;
    }
    const bool takes_work = candidate.feasible() || candidate.refused_by() == "quality_floor";
    if (takes_work && classes.emplace(candidate.device_class(), candidate.emulated()).second) {
      devices.push_back(&candidate);
    }
  }
  return devices;
}

std::string FormOf(const v1::ModelAlternative& model) {
  return model.quantization() == "none" ? "fp32" : model.quantization();
}

// Adds a run of each model whose speed is unknown on the device or its class.
void AddSpeedProbes(const ProbeFlags& flags, const v1::Candidate& device,
                    std::vector<NamedSpec>* probes) {
  for (const v1::ModelAlternative& model : device.alternatives()) {
    if (model.speed_measured() && !flags.again) {
      continue;
    }
    v1::JobSpec spec = JobWith(flags, model.model());
    spec.set_name(
        absl::StrCat("probe ", FormOf(model), " on ", device.device_name()).substr(0, 80));
    spec.add_required_labels(absl::StrCat("device=", device.device_name()));
    probes->push_back({"wattle probe", std::move(spec)});
  }
}

// Adds a comparison with the parent for each model whose quality is unknown. The planner chooses
// the device, because quality is the same on every device.
void AddQualityProbes(const ProbeFlags& flags, const v1::PlanResponse& plan,
                      std::vector<NamedSpec>* probes, std::vector<std::string>* without_data) {
  if (plan.candidates().empty()) {
    return;
  }
  for (const v1::ModelAlternative& model : plan.candidates(0).alternatives()) {
    if (model.is_parent() || (model.has_quality() && (!flags.again || flags.data.empty()))) {
      continue;
    }
    if (flags.data.empty()) {
      without_data->push_back(model.model());
      continue;
    }
    v1::JobSpec spec;
    spec.set_name(absl::StrCat("probe quality of ", FormOf(model)).substr(0, 80));
    v1::EvaluateSpec& evaluate = *spec.mutable_evaluate();
    evaluate.set_model(model.model());
    evaluate.set_reference_model(flags.model);
    evaluate.set_data(flags.data);
    evaluate.set_limit_examples(kProbeWindows);
    probes->push_back({"wattle probe", std::move(spec)});
  }
}

absl::StatusOr<ExitCode> Probe(Session& session, const ProbeFlags& flags) {
  if (flags.kind == "evaluate" && flags.data.empty()) {
    return absl::InvalidArgumentError(
        "--kind evaluate: wants --data, the text or SQuAD file to evaluate on");
  }
  if (flags.kind != "evaluate" && (flags.score_answers || !flags.reference_model.empty())) {
    return absl::InvalidArgumentError(
        absl::StrCat(flags.score_answers ? "--score-answers" : "--reference-model",
                     ": belongs to evaluations; add --kind evaluate"));
  }
  v1::PlanRequest request;
  request.set_without_changes(true);
  *request.mutable_spec() = JobWith(flags, flags.model);
  request.mutable_spec()->mutable_quality_floor()->set_perplexity_change_percent_max(
      kAnyChangePercent);
  WATTLE_ASSIGN_OR_RETURN(const v1::PlanResponse plan,
                          session.client().Call(&JobStub::PlanJob, request));
  if (!plan.certain_failure().empty()) {
    return absl::InvalidArgumentError(plan.certain_failure());
  }
  const std::vector<const v1::Candidate*> devices = DevicesToProbe(flags, plan);
  if (devices.empty()) {
    return absl::FailedPreconditionError(flags.devices.empty()
                                             ? "no device can take a probe now; see wattle devices"
                                             : "no such device; see wattle devices");
  }
  std::vector<NamedSpec> probes;
  std::vector<std::string> without_data;
  AddQualityProbes(flags, plan, &probes, &without_data);
  for (const v1::Candidate* device : devices) {
    AddSpeedProbes(flags, *device, &probes);
  }
  for (const std::string& model : without_data) {
    session.PrintRemark(absl::StrCat("the quality of ", Printable(model),
                                     " was not measured; repeat with --data TEXT"));
  }
  if (probes.empty()) {
    if (session.json()) {
      session.Print(v1::ListJobsResponse(), [] { return std::string(); });
    } else {
      session.PrintText(
          "nothing to probe: the speed of every model was measured on the devices asked for\n");
    }
    return ExitCode::kOk;
  }
  return SubmitSpecs(session, probes, flags.options);
}

}  // namespace

void AddProbeCommand(CLI::App* app, CommandSlot* slot) {
  CLI::App* leaf = AddLeaf(
      app, "probe",
      "Measure speed, joules and quality of a model and of those quantized from it with short "
      "jobs, so that jobs with a quality floor may run them. One device of each class is probed; "
      "what was measured before is left out.",
      "  wattle probe gpt2 --data wiki\n"
      "  wattle probe gpt2 --device mast-3 --again --watch\n"
      "  wattle probe gpt2 --kind evaluate --data wiki\n"
      "  wattle probe gpt2 --kind evaluate --data squad-dev --score-answers\n");
  const auto flags = std::make_shared<ProbeFlags>();
  leaf->add_option("REFERENCE", flags->model, "The model that is not quantized")->required();
  leaf->add_option("--data", flags->data, "A text or SQuAD data set to measure quality on")
      ->type_name("DATA");
  leaf->add_option("--kind", flags->kind,
                   "Kind of jobs to measure the speed of: generate (default) "
                   "or evaluate")
      ->type_name("KIND")
      ->check(CLI::IsMember({"generate", "evaluate"}));
  leaf->add_flag("--score-answers", flags->score_answers,
                 "With --kind evaluate: evaluations that generate and score answers");
  leaf->add_option("--reference-model", flags->reference_model,
                   "With --kind evaluate: evaluations beside this model")
      ->type_name("REFERENCE");
  leaf->add_option("--device", flags->devices, "Probe this device; repeatable")
      ->type_name("DEVICE")
      ->allow_extra_args(false)
      ->take_all();
  leaf->add_flag("--again", flags->again, "Also what was measured before");
  leaf->add_flag("-w,--watch", flags->options.watch, "Show progress until the probes have ended");
  slot->Bind(leaf, [flags](Session& session) { return Probe(session, *flags); });
}

}  // namespace wattle::cli
