// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/users.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/descriptor.h"

#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "policy/fields.h"
#include "policy/heartbeat_interval.h"
#include "proto/job_kind.h"
#include "sim/runner.h"

namespace wattle::sim {
namespace {

constexpr double kAnswerLost = 0.2;    // share of answers that are lost on the way to the user
constexpr double kChained = 0.3;       // share of jobs that read another job's output
constexpr double kPauseLimited = 0.5;  // share of reserve policies that also limit a pause
constexpr double kEvaluatedProfiles = 0.3;
constexpr double kBudgetedProfiles = 0.6;
constexpr const char* kReservePolicy = "reserve";
constexpr const char* kBudgetPolicy = "budget";
constexpr const char* kWindowPolicy = "window";
constexpr const char* kAlivePolicy = "alive";
constexpr const char* kQueuePolicy = "queue";
constexpr const char* kLinkPolicy = "link";
constexpr double kDaySeconds = 86400.0;
constexpr int kMinutesOfDay = 1440;
// For budgets: about the draw of a board at work.
constexpr Watts kWorkPower(12.0);

// The fields whose limits do not depend on the world.
std::vector<policy::Field> UsualFields() {
  std::vector<policy::Field> usual;
  for (const policy::Field& field : policy::Fields()) {
    if (field.usual_high > 0.0) {
      usual.push_back(field);
    }
  }
  return usual;
}

// "23:05", this many minutes after midnight.
std::string TimeOfDay(int minutes) {
  const int of_day = ((minutes % kMinutesOfDay) + kMinutesOfDay) % kMinutesOfDay;
  return absl::StrFormat("%02d:%02d", of_day / 60, of_day % 60);
}

v1::ArtifactInfo BaseModel() {
  v1::ArtifactInfo model;
  model.set_artifact_id(std::string(64, 'a'));
  model.set_name("tiny");
  model.set_kind(v1::ARTIFACT_KIND_MODEL);
  model.set_size_bytes(1 << 20);
  model.set_parameter_count(kModelParameters);
  v1::ModelShape& shape = *model.mutable_model_shape();
  shape.set_architecture("gpt2");
  shape.set_layers(kModelLayers);
  shape.set_width(kModelWidth);
  shape.set_heads(kModelHeads);
  shape.set_vocabulary_size(512);
  shape.set_context_length(128);
  return model;
}

v1::ArtifactInfo DataSet() {
  v1::ArtifactInfo data;
  data.set_artifact_id(std::string(64, 'b'));
  data.set_name("questions");
  data.set_kind(v1::ARTIFACT_KIND_DATASET);
  data.set_size_bytes(1 << 16);
  data.mutable_dataset()->set_examples(1000);
  data.mutable_dataset()->set_mean_byte_length(300);  // Makes plans count tokens, as runners do.
  return data;
}

}  // namespace

Users::Users(EventLoop& loop, Random& random, const Options& options, Coordinator& coordinator)
    : loop_(loop),
      random_(random),
      options_(options),
      coordinator_(coordinator),
      retry_seconds_(std::max(5.0, options.outage_seconds_max / 10.0)) {}

void Users::Start() {
  Push(BaseModel());
  Push(DataSet());
  BoundExploring();
  v1::Policy queue;
  queue.set_name(kQueuePolicy);
  queue.set_device_queue_depth(1 + static_cast<int>(options_.seed % 4));
  policies_.insert(queue.name());
  Apply(queue);
  for (int number = 0; number < options_.jobs; ++number) {
    loop_.After(random_.Between(1.0, options_.fault_seconds * 0.8), [this, number] {
      begun_.insert(number);
      Submit(number);
    });
  }
}

// In every second world a device may explore with about the joules of one or two probes a day.
void Users::BoundExploring() {
  Random random(options_.seed * 15'485'863);
  if (random.Chance(0.5)) {
    v1::Policy policy;
    policy.set_name("exploration_ratio");  // MakeUsual sets it too.
    policy.set_exploration_ratio(random.Between(0.001, 0.004));
    policies_.insert(policy.name());
    Apply(policy);
  }
}

void Users::Retry(std::function<void()> action) {
  loop_.After(retry_seconds_ * random_.Between(0.8, 1.2), std::move(action));
}

void Users::Push(const v1::ArtifactInfo& info) {
  const auto answered = std::make_shared<bool>(false);
  coordinator_.Post(core::CommitArtifact{info},
                    [answered](const event_loop::Answer&) { *answered = true; });
  Retry([this, info, answered] {
    if (!*answered) {
      Push(info);
    }
  });
}

void Users::Submit(int number) {
  if (answered_.contains(number)) {
    return;
  }
  // Like the API: a repeated key of a durable job never reaches the core.
  if (const v1::Job* job =
          coordinator_.alive() ? coordinator_.FindJobOfKey(absl::StrCat("key-", number)) : nullptr;
      job != nullptr) {
    ids_[number] = job->job_id();
    numbers_[job->job_id()] = number;
    answered_.insert(number);
    return;
  }
  if (!specs_.contains(number)) {
    specs_[number] = MakeSpec(number);
  }
  core::SubmitJob submit;
  submit.idempotency_key = absl::StrCat("key-", number);
  submit.spec = specs_[number];
  for (const JobId& source : core::ReferencedJobs(submit.spec)) {
    for (const auto& [key, job] : coordinator_.history()) {
      if (job.job_id() == source.value()) {
        submit.archived_sources.push_back(job);
      }
    }
  }
  coordinator_.Post(std::move(submit), [this, number](const event_loop::Answer& answer) {
    if (!answer.status.ok()) {
      // The job's input has failed, or the coordinator no longer has it.
      answered_.insert(number);
      refused_.insert(number);
      return;
    }
    ids_[number] = answer.id;
    numbers_[answer.id] = number;
    if (!random_.Chance(kAnswerLost)) {
      answered_.insert(number);
    }
  });
  Retry([this, number] { Submit(number); });
}

v1::JobSpec Users::MakeSpec(int number) {
  constexpr v1::Objective kObjectives[] = {v1::OBJECTIVE_ENERGY, v1::OBJECTIVE_TIME,
                                           v1::OBJECTIVE_EDP};
  if (std::optional<v1::JobSpec> profile = MakeProfile(number); profile.has_value()) {
    return *std::move(profile);
  }
  v1::JobSpec spec;
  spec.set_name(absl::StrCat("job-", number));
  spec.set_objective(kObjectives[random_.Below(3)]);
  spec.set_lease_seconds(random_.Between(options_.lease_seconds_min, options_.lease_seconds_max));
  spec.set_retries(random_.Below(4));
  spec.set_priority(random_.Below(3));
  if (random_.Chance(options_.deadlines)) {
    spec.set_deadline_seconds(options_.fault_seconds * random_.Between(0.02, 0.6));
  }
  AddAntiAffinity(number, spec);
  const std::string model = ChooseModel();
  if (random_.Chance(options_.other_kinds)) {
    MakeShortJob(model, spec);
    return spec;
  }
  v1::FinetuneSpec& finetune = *spec.mutable_finetune();
  finetune.set_model(model);
  finetune.set_data("questions");
  finetune.set_batch_size(4);
  finetune.set_sequence_length(128);
  finetune.set_steps(5 + random_.Below(options_.job_steps_max));
  if (number % 2 == 0) {  // The other jobs leave the interval to their worker.
    finetune.set_checkpoint_every_steps(5);
  }
  finetune.set_seed(static_cast<uint64_t>(number));
  return spec;
}

// Groups of two: a world has at least two boards that never stay away.
void Users::AddAntiAffinity(int number, v1::JobSpec& spec) const {
  const int pair = number / 2;
  // Separate random numbers, equal for both jobs of the pair.
  Random random(options_.seed * 86'028'121 + static_cast<uint64_t>(pair));
  if (random.Chance(options_.apart)) {
    spec.mutable_apart()->set_group(absl::StrCat("pair-", pair));
  }
}

std::optional<v1::JobSpec> Users::MakeProfile(int number) const {
  // Separate random numbers, so that the other jobs of a seed are unchanged.
  Random random(options_.seed * 104'729 + static_cast<uint64_t>(number));
  if (!random.Chance(options_.profile_jobs)) {
    return std::nullopt;
  }
  v1::JobSpec spec;
  spec.set_name(absl::StrCat("job-", number));
  spec.add_required_labels(absl::StrCat("device=board-", random.Below(options_.devices)));
  v1::ProfileSpec& profile = *spec.mutable_profile();
  profile.set_all_power_modes(true);
  profile.add_batch_sizes(4);
  profile.add_batch_sizes(8);
  const double run_seconds = std::clamp(8.0 * options_.step_seconds, 5.0, 600.0);
  profile.set_run_seconds(run_seconds);
  profile.set_runs_max(1 + random.Below(6));
  if (random.Chance(kEvaluatedProfiles)) {
    v1::EvaluateSpec& evaluate = *profile.mutable_evaluate();
    evaluate.set_model("tiny");
    evaluate.set_data("questions");
    evaluate.set_sequence_length(128);
  } else {
    v1::FinetuneSpec& finetune = *profile.mutable_finetune();
    finetune.set_model("tiny");
    finetune.set_data("questions");
    finetune.set_sequence_length(128);
  }
  if (random.Chance(kBudgetedProfiles)) {
    spec.set_energy_budget_wh(
        ToWattHours(kWorkPower * absl::Seconds(run_seconds * random.Between(0.5, 8.0))));
  }
  return spec;
}

// The base model, or the output of a job that makes a model.
std::string Users::ChooseModel() {
  if (ids_.empty() || !random_.Chance(kChained)) {
    return "tiny";
  }
  auto chosen = ids_.begin();
  std::advance(chosen, random_.Below(static_cast<int>(ids_.size())));
  return KindOf(specs_[chosen->first]).makes_model ? absl::StrCat("job:", chosen->second, "/output")
                                                   : "tiny";
}

void Users::MakeShortJob(const std::string& model, v1::JobSpec& spec) {
  switch (random_.Below(3)) {
    case 0:
      spec.mutable_quantize()->set_model(model);
      spec.mutable_quantize()->set_quantization(v1::QUANTIZATION_INT8);
      return;
    case 1:
      spec.mutable_generate()->set_model(model);
      spec.mutable_generate()->add_prompts("How much charge is left?");
      return;
    default:
      spec.mutable_evaluate()->set_model(model);
      spec.mutable_evaluate()->set_data("questions");
      spec.mutable_evaluate()->set_batch_size(4);
      spec.mutable_evaluate()->set_sequence_length(128);
      spec.mutable_evaluate()->set_limit_examples(20 + random_.Below(100));
  }
}

void Users::CancelSomeJob() {
  if (!ids_.empty()) {
    auto chosen = ids_.begin();
    std::advance(chosen, random_.Below(static_cast<int>(ids_.size())));
    coordinator_.Post(core::CancelJob{JobId(chosen->second), "changed my mind"}, nullptr);
  }
}

void Users::DrainAndResume(const DeviceId& device) {
  drained_.insert(device.value());
  coordinator_.Post(core::DrainDevice{device, "maintenance"}, nullptr);
  loop_.After(random_.Between(1.0, options_.outage_seconds_max),
              [this, device] { Resume(device); });
}

void Users::Resume(const DeviceId& device) {
  const auto answered = std::make_shared<bool>(false);
  coordinator_.Post(core::ResumeDevice{device},
                    [answered](const event_loop::Answer&) { *answered = true; });
  Retry([this, device, answered] {
    if (!*answered) {
      Resume(device);
    }
  });
}

void Users::RemoveDevice(const DeviceId& device) {
  gone_.insert(device.value());
  const auto removed = std::make_shared<bool>(false);
  coordinator_.Post(core::RemoveDevice{device}, [removed](const event_loop::Answer& answer) {
    *removed = answer.status.ok() || absl::IsNotFound(answer.status);
  });
  Retry([this, device, removed] {
    if (!*removed) {
      RemoveDevice(device);
    } else {
      SeeWhetherGone(device);
    }
  });
}

// A hello that was under way when the device ended registers it again.
void Users::SeeWhetherGone(const DeviceId& device) {
  loop_.After(options_.outage_seconds_max + 2.0, [this, device] {
    const v1::DeviceRecord* const record = core::FindDevice(coordinator_.durable(), device);
    if (record != nullptr && !record->removed()) {
      RemoveDevice(device);
    }
  });
}

void Users::Apply(const v1::Policy& policy) {
  const auto answered = std::make_shared<bool>(false);
  coordinator_.Post(core::ApplyPolicy{policy},
                    [answered](const event_loop::Answer&) { *answered = true; });
  Retry([this, policy, answered] {
    if (!*answered && policies_.contains(policy.name())) {
      Apply(policy);
    }
  });
}

void Users::Delete(const std::string& name) {
  const auto answered = std::make_shared<bool>(false);
  coordinator_.Post(core::DeletePolicy{name},
                    [answered](const event_loop::Answer&) { *answered = true; });
  Retry([this, name, answered] {
    if (!*answered && !policies_.contains(name)) {
      Delete(name);
    }
  });
}

double Users::SpanSeconds() const {
  return std::min(options_.fault_seconds, kDaySeconds);
}

int Users::NowMinutes() const {
  return static_cast<int>(absl::ToInt64Minutes(TrueTime(loop_.now_seconds()) - absl::UnixEpoch()) %
                          kMinutesOfDay);
}

std::string Users::Window() {
  const int span_minutes = static_cast<int>(SpanSeconds() / 60.0);
  const int begin = NowMinutes() + random_.Below(span_minutes / 2) - span_minutes / 4;
  return absl::StrCat(TimeOfDay(begin), "-",
                      TimeOfDay(begin + 3 + random_.Below(span_minutes / 2)));
}

v1::Policy Users::MakePolicy(Fraction reserve) {
  constexpr int kReserve = 8;  // of 16 draws
  constexpr int kReserveAndUsual = 12;
  const double span_seconds = SpanSeconds();
  const int span_minutes = static_cast<int>(span_seconds / 60.0);
  v1::Policy policy;
  const int draw = random_.Below(16);
  if (draw < kReserve) {
    return MakeReserve(reserve);
  }
  if (draw < kReserveAndUsual) {
    return MakeUsual(draw);
  }
  switch (draw) {
    case kReserveAndUsual:
    case kReserveAndUsual + 1:
      policy.set_name(kBudgetPolicy);
      policy.set_daily_energy_budget_wh(
          ToWattHours(kWorkPower * absl::Seconds(span_seconds * random_.Between(0.08, 0.4))));
      break;
    case kReserveAndUsual + 2: {
      // Every second board, so that the others continue.
      policy.set_name(kWindowPolicy);
      policy.add_selector("half=odd");
      policy.add_work_windows(Window());
      break;
    }
    default:
      policy.set_name(kAlivePolicy);
      policy.set_stay_alive_until(TimeOfDay(NowMinutes() + 1 + random_.Below(span_minutes / 2)));
  }
  return policy;
}

v1::Policy Users::MakeReserve(Fraction reserve) {
  v1::Policy policy;
  policy.set_name(kReservePolicy);
  policy.set_reserve_state_of_charge_ratio(reserve.value());
  if (random_.Chance(kPauseLimited)) {
    policy.set_pause_seconds_max(options_.outage_seconds_max * random_.Between(0.1, 1.0));
  }
  return policy;
}

v1::Policy Users::MakeUsual(int draw) {
  const std::vector<policy::Field> usual = UsualFields();
  const policy::Field& field = usual[static_cast<size_t>(draw) % usual.size()];
  const std::string name(field.name);
  v1::Policy policy;
  policy.set_name(name);
  policy.GetReflection()->SetDouble(&policy, policy.GetDescriptor()->FindFieldByName(name),
                                    random_.Between(field.usual_low, field.usual_high));
  return policy;
}

// For every second board, so that the others continue.
v1::Policy Users::MakeLink() {
  v1::Policy policy;
  policy.set_name(kLinkPolicy);
  policy.add_selector("half=even");
  v1::LinkLimits& link = *policy.mutable_link();
  const int draw = random_.Below(3);
  if (draw != 0) {
    link.set_bytes_per_day(
        static_cast<int64_t>(policy::kLinkBytesPerDayMin * random_.Between(1.0, 2.0)));
  }
  if (draw != 1) {
    link.add_windows(Window());
  }
  return policy;
}

void Users::ChangePolicies(Fraction reserve) {
  Change(MakePolicy(reserve));
}

void Users::ChangeLinkPolicy() {
  Change(MakeLink());
}

void Users::Change(const v1::Policy& policy) {
  if (policies_.contains(policy.name()) && random_.Chance(0.3)) {
    policies_.erase(policy.name());
    Delete(policy.name());
    return;
  }
  policies_.insert(policy.name());
  Apply(policy);
}

void Users::AskAgain() {
  Push(BaseModel());
  Push(DataSet());
  ids_.clear();
  answered_.clear();
  refused_.clear();
  for (const int number : begun_) {
    Retry([this, number] { Submit(number); });
  }
  for (const std::string& device : drained_) {
    Resume(DeviceId(device));
  }
  for (const std::string& device : gone_) {
    RemoveDevice(DeviceId(device));
  }
}

void Users::StopFaults() {
  std::vector<std::string> names = {kReservePolicy};
  for (const policy::Field& field : UsualFields()) {
    names.emplace_back(field.name);
  }
  names.insert(names.end(), {kBudgetPolicy, kWindowPolicy, kAlivePolicy, kLinkPolicy});
  for (const std::string& name : names) {
    // Also deletes a policy that only a restored journal still has.
    policies_.erase(name);
    Delete(name);
  }
}

bool Users::all_answered() const {
  return answered_.size() == static_cast<size_t>(options_.jobs);
}

const v1::JobSpec* Users::SpecOf(const std::string& job_id) const {
  const auto number = numbers_.find(job_id);
  const auto spec = number == numbers_.end() ? specs_.end() : specs_.find(number->second);
  return spec == specs_.end() ? nullptr : &spec->second;
}

}  // namespace wattle::sim
