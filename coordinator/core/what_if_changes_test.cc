// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Drawn fleets and jobs: a separate reader applies each change that a dry run reports, and the
// fleet is planned again. Each seed is printed on a failure.
#include "coordinator/core/what_if_changes.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/foreseen_inputs.h"
#include "coordinator/core/leaner_forms_internal.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/fleet_for_test.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "proto/peak_memory.h"
#include "proto/spec_revision.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/predict/work.h"

namespace wattle::core {
namespace {

using testing::ElementsAre;
using testing::Gt;
using testing::IsEmpty;
using testing::SizeIs;

class Draws {
 public:
  explicit Draws(unsigned seed) : generator_(seed) {}
  int Below(int n) { return static_cast<int>(generator_() % static_cast<unsigned>(n)); }
  bool OneIn(int n) { return Below(n) == 0; }
  double Real(double low, double high) {
    return low + (high - low) * static_cast<double>(generator_()) / 4294967296.0;
  }

 private:
  std::mt19937 generator_;
};

// Half a GiB, plus an amount for each example of a batch by the forms.
int64_t DrawnMemory(const v1::JobSpec& spec, int64_t bytes_per_example) {
  const v1::FinetuneSpec& finetune = spec.finetune();
  const int batch = spec.has_finetune()   ? finetune.batch_size()
                    : spec.has_generate() ? spec.generate().batch_size()
                                          : spec.evaluate().batch_size();
  const v1::Quantization quantization = spec.has_finetune()   ? finetune.quantization()
                                        : spec.has_generate() ? spec.generate().quantization()
                                                              : spec.evaluate().quantization();
  int64_t weights = int64_t{4} << 30;
  weights /= quantization == v1::QUANTIZATION_INT4   ? 8
             : quantization == v1::QUANTIZATION_INT8 ? 4
                                                     : 1;
  return weights +
         std::max(1, batch) * bytes_per_example / (finetune.activation_checkpointing() ? 4 : 1);
}

struct World {
  State state;
  Observations observations;
  PlanningInputs inputs;
  v1::PlanRequest request;

  [[nodiscard]] v1::PlanResponse Plan(const v1::PlanRequest& of) const {
    const auto plan = DryRun(state, observations, inputs, of, Now());
    EXPECT_THAT(plan, IsOk());
    return plan.value_or(v1::PlanResponse());
  }
};

void AddBoard(const std::string& id, Draws& draws, World& world) {
  const char* const kClasses[] = {"jetson-xavier-nx", "jetson-orin-nano", "raspberry-pi-5"};
  v1::Hello hello;
  hello.set_incarnation(1);
  v1::DeviceInfo& info = *hello.mutable_device();
  info.set_device_id(id);
  info.set_name(absl::StrCat("board-", id));
  info.set_device_class(kClasses[draws.Below(3)]);
  info.set_time_scale(1);
  info.set_memory_bytes(int64_t{4 + 4 * draws.Below(3)} << 30);
  info.set_engine_version("test");
  info.set_spec_revision(kSpecRevision);
  info.set_cache_quota_bytes(int64_t{1} << 34);
  info.set_link_bytes_per_second(1e7);
  for (const char* mode : {"slow", "fast"}) {
    info.add_power_modes()->set_name(mode);
  }
  info.set_power_mode(draws.OneIn(2) ? "slow" : "fast");
  DeviceObservation& observed = world.observations.devices[DeviceId(id)];
  observed.connected = true;
  observed.last_seen = Now();
  observed.heartbeat.set_idle_power_watts(draws.Real(1, 4));
  if (draws.OneIn(2)) {
    info.set_battery_capacity_wh(draws.Real(5, 60));
    observed.heartbeat.set_has_battery(true);
    observed.heartbeat.set_state_of_charge_ratio(draws.Real(0.2, 1));
  }
  Do(world.state, world.observations, WorkerHello{hello});
}

// The board ran the job in this mode, at 10 W.
void Measure(const std::string& id, const v1::JobSpec& spec, const std::string& mode,
             double seconds, World& world) {
  const auto inputs = ForeseeInputs(world.state, spec);
  ASSERT_THAT(inputs, IsOk());
  const auto work = scheduler::WorkOf(spec, *inputs, world.state.profiles);
  ASSERT_THAT(work, IsOk());
  v1::DeviceInfo info = FindDevice(world.state, DeviceId(id))->info();
  info.set_power_mode(mode);
  v1::Receipt receipt = scheduler::MeasuredReceipt(*work, seconds, /*watts=*/10);
  receipt.set_power_mode(mode);
  for (const v1::ProfileRow& row :
       scheduler::LearnFromReceipt(world.state.profiles, info, receipt, Now().wall)) {
    ASSERT_THAT(world.state.profiles.Put(row), IsOk());
  }
}

v1::JobSpec DrawnSpec(Draws& draws) {
  v1::JobSpec spec = Finetune();
  v1::FinetuneSpec& finetune = *spec.mutable_finetune();
  finetune.set_batch_size(1 << draws.Below(4));
  finetune.set_gradient_accumulation_steps(1 << draws.Below(3));
  if (draws.OneIn(3)) {
    finetune.mutable_lora()->set_rank(8);
  }
  if (draws.OneIn(3)) {
    spec.mutable_generate()->set_model("tiny");
    spec.mutable_generate()->add_prompts("the fleet");
    spec.mutable_generate()->set_max_new_tokens(64);
    spec.mutable_generate()->set_batch_size(1 << draws.Below(3));
  } else if (draws.OneIn(3)) {
    spec.mutable_evaluate()->set_model("tiny");
    spec.mutable_evaluate()->set_data("questions");
    spec.mutable_evaluate()->set_batch_size(1 << draws.Below(4));
  }
  spec.set_objective(static_cast<v1::Objective>(1 + draws.Below(3)));
  if (draws.OneIn(2)) {
    spec.set_deadline_seconds(draws.Real(600, 12000));
  }
  return spec;
}

World DrawnWorld(unsigned seed) {
  Draws draws(seed);
  World world;
  Do(world.state, world.observations, CommitArtifact{TinyModel()});
  Do(world.state, world.observations, CommitArtifact{Questions(1000)});
  const int64_t bytes_per_example = int64_t{1} << (26 + draws.Below(7));
  world.inputs.estimate_memory = [bytes_per_example](const v1::JobSpec& spec, const v1::ModelShape&,
                                                     const scheduler::DataMemory&) {
    return PeakMemory{.cores_bytes = DrawnMemory(spec, bytes_per_example)};
  };
  v1::Policy policy;
  policy.set_name("mast");
  policy.set_reserve_state_of_charge_ratio(draws.Real(0.02, 0.7));
  Do(world.state, world.observations, ApplyPolicy{policy});
  const v1::JobSpec spec = DrawnSpec(draws);
  *world.request.mutable_spec() = spec;
  for (int i = 2 + draws.Below(3); i >= 0; --i) {
    const std::string id(1, static_cast<char>('a' + i));
    AddBoard(id, draws, world);
    if (!draws.OneIn(4)) {
      for (const char* mode : {"slow", "fast"}) {
        Measure(id, spec, mode, draws.Real(600, 9000), world);
      }
      for (const ChangedSpec& other : OtherBatches(spec)) {
        if (draws.OneIn(3)) {
          Measure(id, other.spec, draws.OneIn(2) ? "slow" : "fast", draws.Real(600, 9000), world);
        }
      }
    }
  }
  return world;
}

template <typename Spec>
void ApplyToRun(const std::string& field, const std::string& value, Spec& spec) {
  int number = 0;
  if (field == "batch_size" && absl::SimpleAtoi(value, &number)) {
    spec.set_batch_size(number);
  } else if (field == "quantization") {
    spec.set_quantization(value == "int8" ? v1::QUANTIZATION_INT8 : v1::QUANTIZATION_INT4);
  } else {
    ADD_FAILURE() << field << " " << value;
  }
}

// "batch_size 2, gradient_accumulation_steps 4".
void ApplyToSpec(const std::string& change, v1::JobSpec& spec) {
  for (const absl::string_view part : absl::StrSplit(change, ", ")) {
    const std::vector<std::string> words = absl::StrSplit(part, ' ');
    ASSERT_THAT(words, SizeIs(2)) << change;
    if (words[0] == "gradient_accumulation_steps") {
      spec.mutable_finetune()->set_gradient_accumulation_steps(std::stoi(words[1]));
    } else if (words[0] == "activation_checkpointing") {
      spec.mutable_finetune()->set_activation_checkpointing(true);
    } else if (spec.has_finetune()) {
      ApplyToRun(words[0], words[1], *spec.mutable_finetune());
    } else if (spec.has_generate()) {
      ApplyToRun(words[0], words[1], *spec.mutable_generate());
    } else {
      ApplyToRun(words[0], words[1], *spec.mutable_evaluate());
    }
  }
}

void LendProfile(const std::string& lender, const std::string& device, State& state) {
  const v1::DeviceInfo info = FindDevice(state, DeviceId(device))->info();
  const v1::DeviceInfo from = FindDevice(state, DeviceId(lender))->info();
  for (v1::ProfileRow row : state.profiles.Rows()) {
    if (row.device_id() == lender && row.power_mode() == from.power_mode()) {
      row.set_device_id(device);
      row.set_device_class(info.device_class());
      row.set_power_mode(info.power_mode());
      ASSERT_THAT(state.profiles.Put(row), IsOk());
    }
  }
}

// Applies the text to the world. Returns the kind of the change.
std::string Apply(const std::string& change, const std::string& device, World& world) {
  static const std::map<std::string, double> kLater = {
      {"10 min", 600}, {"1 h", 3600},         {"3 h", 10800},       {"12 h", 43200},
      {"24 h", 86400}, {"3 days", 3 * 86400}, {"7 days", 7 * 86400}};
  v1::JobSpec& spec = *world.request.mutable_spec();
  std::smatch match;
  if (std::regex_match(change, match, std::regex("a deadline (.*) later"))) {
    spec.set_deadline_seconds(spec.deadline_seconds() + kLater.at(match[1]));
    return "deadline";
  }
  if (std::regex_match(change, match, std::regex("a reserve of (\\d+) % \\(policy mast\\)"))) {
    v1::Policy policy = world.state.policies.at("mast");
    policy.set_reserve_state_of_charge_ratio(std::stod(match[1]) / 100);
    *world.request.add_policies() = policy;
    return "reserve";
  }
  if (std::regex_match(change, match, std::regex("power mode (.*)"))) {
    world.state.devices.Mutable(DeviceId(device)).mutable_info()->set_power_mode(match[1]);
    return "power mode";
  }
  if (std::regex_match(change, match, std::regex("the measured profile of board-(.*)"))) {
    LendProfile(match[1], device, world.state);
    return "profile";
  }
  ApplyToSpec(change, spec);
  return change.substr(0, change.find(' '));
}

TEST(WhatIfChangesTest, EachToldChangeMakesTheDeviceTheChoice) {
  std::map<std::string, int> told;
  for (unsigned seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const World world = DrawnWorld(seed);
    const v1::PlanResponse plan = world.Plan(world.request);
    EXPECT_EQ(plan.SerializeAsString(), world.Plan(world.request).SerializeAsString());
    for (const v1::Candidate& candidate : plan.candidates()) {
      EXPECT_LE(candidate.would_win_if_size(), 3);
      for (const v1::WinningChange& one : candidate.would_win_if()) {
        World changed = world;
        told[Apply(one.change(), candidate.device_id(), changed)] += 1;
        changed.request.set_without_changes(true);
        const v1::PlanResponse after = changed.Plan(changed.request);
        EXPECT_NE(candidate.device_id(), plan.chosen_device_id());
        EXPECT_EQ(after.chosen_device_id(), candidate.device_id()) << one.change();
        ASSERT_THAT(after.candidates(), SizeIs(plan.candidates_size()));
        EXPECT_DOUBLE_EQ(after.candidates(0).cost(), one.cost()) << one.change();
        EXPECT_DOUBLE_EQ(after.candidates(0).finish_in_seconds(), one.finish_in_seconds());
        EXPECT_EQ(after.certain_failure(), "");
      }
    }
    if (HasFailure()) {
      return;
    }
  }
  // The draws reach each kind of change.
  for (const char* kind : {"deadline", "reserve", "power mode", "profile", "batch_size",
                           "activation_checkpointing", "quantization"}) {
    EXPECT_THAT(told[kind], Gt(2)) << kind;
  }
}

TEST(WhatIfChangesTest, NothingIsToldWhereNobodyAsks) {
  int told = 0;
  for (unsigned seed = 1; seed <= 40; ++seed) {
    World world = DrawnWorld(seed);
    const v1::PlanResponse plan = world.Plan(world.request);
    for (const v1::Candidate& candidate : plan.candidates()) {
      told += candidate.would_win_if_size();
    }
    world.request.set_without_changes(true);
    const v1::PlanResponse without = world.Plan(world.request);
    for (const v1::Candidate& candidate : without.candidates()) {
      EXPECT_THAT(candidate.would_win_if(), IsEmpty()) << "seed " << seed;
    }
  }
  EXPECT_THAT(told, Gt(0));
}

// 59 of 60 boards would win in the other mode, and 48 plans are made.
TEST(WhatIfChangesTest, TheNumberOfPlansIsBounded) {
  World world;
  Do(world.state, world.observations, CommitArtifact{TinyModel()});
  Do(world.state, world.observations, CommitArtifact{Questions(1000)});
  *world.request.mutable_spec() = Finetune();
  world.request.mutable_spec()->mutable_finetune()->set_batch_size(1);
  for (int i = 0; i < 60; ++i) {
    const std::string id = absl::StrCat(100 + i);
    v1::Hello hello;
    hello.set_incarnation(1);
    v1::DeviceInfo& info = *hello.mutable_device();
    info.set_device_id(id);
    info.set_name(absl::StrCat("board-", id));
    info.set_device_class("jetson-orin-nano");
    info.set_memory_bytes(int64_t{8} << 30);
    info.set_engine_version("test");
    info.set_spec_revision(kSpecRevision);
    info.set_cache_quota_bytes(int64_t{1} << 34);
    for (const char* mode : {"slow", "fast"}) {
      info.add_power_modes()->set_name(mode);
    }
    info.set_power_mode("slow");
    world.observations.devices[DeviceId(id)].connected = true;
    world.observations.devices[DeviceId(id)].last_seen = Now();
    Do(world.state, world.observations, WorkerHello{hello});
    Measure(id, world.request.spec(), "slow", 1000, world);
    Measure(id, world.request.spec(), "fast", 500, world);
  }
  int told = 0;
  const v1::PlanResponse plan = world.Plan(world.request);
  for (const v1::Candidate& candidate : plan.candidates()) {
    told += candidate.would_win_if_size();
  }
  EXPECT_GE(told, 24);
  EXPECT_LE(told, 48);
}

TEST(OtherBatchesTest, AStepKeepsItsExamples) {
  v1::JobSpec spec = Finetune();
  spec.mutable_finetune()->set_gradient_accumulation_steps(2);
  std::vector<std::string> changes;
  for (const ChangedSpec& form : OtherBatches(spec)) {
    changes.push_back(form.change);
    const v1::FinetuneSpec& finetune = form.spec.finetune();
    EXPECT_EQ(finetune.batch_size() * finetune.gradient_accumulation_steps(), 8);
  }
  EXPECT_THAT(changes, ElementsAre("batch_size: 2, gradient_accumulation_steps: 4",
                                   "batch_size: 1, gradient_accumulation_steps: 8",
                                   "batch_size: 8, gradient_accumulation_steps: 1"));
}

TEST(QuantizedFormsTest, WeightsOfATrainingWithoutAdaptersStayAsTheyAre) {
  EXPECT_THAT(QuantizedForms(Finetune()), IsEmpty());
  v1::JobSpec lora = Finetune();
  lora.mutable_finetune()->mutable_lora()->set_rank(8);
  EXPECT_THAT(QuantizedForms(lora), SizeIs(2));
  lora.mutable_finetune()->set_quantization(v1::QUANTIZATION_INT8);
  EXPECT_THAT(QuantizedForms(lora), IsEmpty());
}

}  // namespace
}  // namespace wattle::core
