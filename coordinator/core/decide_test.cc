// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that transcripts would show badly: look-ups, snapshots, and the conversion for the
// scheduler.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/fleet_for_test.h"
#include "coordinator/core/testing/spec_for_test.h"
#include "proto/peak_memory.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ResolveTest, ArtifactByNameIdAndPrefix) {
  const Fleet fleet;
  EXPECT_EQ(ResolveArtifact(fleet.state, "tiny")->value(), "aabbccdd11");
  EXPECT_EQ(ResolveArtifact(fleet.state, "aabbccdd2")->value(), "aabbccdd22");
  EXPECT_THAT(ResolveArtifact(fleet.state, "aabbccdd"), StatusIs(kInvalid, HasSubstr("several")));
  EXPECT_THAT(ResolveArtifact(fleet.state, "aabb"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("known: questions, tiny")));
}

TEST(ResolveTest, DeviceByNameIdAndPrefix) {
  const Fleet fleet;
  for (const char* reference : {"orin", "device-1", "dev"}) {
    EXPECT_EQ(ResolveDevice(fleet.state, reference)->value(), "device-1") << reference;
  }
  EXPECT_THAT(ResolveDevice(fleet.state, "nx"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("known: orin")));
}

TEST(ResolveTest, JobIdIsSpelledOneWay) {
  EXPECT_EQ(JobNumber("j12"), 12);
  for (const char* text : {"j", "12", "j0", "j-1", "j 1", "jx", ""}) {
    EXPECT_EQ(JobNumber(text), std::nullopt) << text;
  }
  Fleet fleet;
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  EXPECT_NE(FindJob(fleet.state, JobId("j1")), nullptr);
  EXPECT_EQ(FindJob(fleet.state, JobId("j01")), nullptr);
}

TEST(SnapshotTest, RoundTripKeepsBytesAndIndices) {
  Fleet fleet;
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  scheduler::QueuePlacement placement;
  placement.job = JobId("j1");
  placement.placement.set_device_id("device-1");
  Do(fleet.state, fleet.observations, PlanComputed{fleet.state.last_sequence, {placement}});
  const auto back = ParseSnapshot(SnapshotBytes(fleet.state));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(SnapshotBytes(*back), SnapshotBytes(fleet.state));
  EXPECT_EQ(back->wanted_attempts, fleet.state.wanted_attempts);
  EXPECT_EQ(back->open_jobs, fleet.state.open_jobs);
  EXPECT_EQ(back->job_by_idempotency_key, fleet.state.job_by_idempotency_key);
  EXPECT_EQ(back->wanted_attempts.at(DeviceId("device-1")).begin()->second.value(), "j1.1");
}

TEST(SnapshotTest, NewerFormatAndDamageAreRefused) {
  v1::StateSnapshot snapshot;
  snapshot.set_format_version(2);
  EXPECT_THAT(ParseSnapshot(snapshot.SerializeAsString()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("format version 2")));
  EXPECT_THAT(ParseSnapshot("\xff\xff"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("cannot be read")));
}

TEST(PlanningTest, QueuedJobIsPlannedAndPlaced) {
  Fleet fleet;
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  const PlanComputed plan = ComputePlan(MakeSnapshot(fleet.state, fleet.observations, {}, Now()));
  ASSERT_THAT(plan.jobs, SizeIs(1));
  EXPECT_EQ(plan.jobs[0].placement.device_id(), "device-1")
      << plan.jobs[0].placement.ShortDebugString();
  Do(fleet.state, fleet.observations, plan);
  const v1::Attempt& attempt = *FindAttempt(fleet.state, AttemptId("j1.1"));
  const v1::Prediction& prediction = attempt.prediction();
  EXPECT_GT(attempt.lease_seconds(), prediction.run_seconds().high());
  // The board is busy until the predicted end.
  const scheduler::Snapshot after = MakeSnapshot(fleet.state, fleet.observations, {}, Now());
  EXPECT_GT(after.devices[0].free_at, Now().wall);
  EXPECT_THAT(after.queue, SizeIs(0));
  // With progress, the end follows from the remaining time of the run and of the work after it.
  fleet.observations.progress[AttemptId("j1.1")].set_remaining_seconds(1000);
  const scheduler::Snapshot later = MakeSnapshot(fleet.state, fleet.observations, {}, Now());
  EXPECT_GT(prediction.checkpoint_seconds(), 0);
  EXPECT_NEAR(absl::ToDoubleSeconds(later.devices[0].free_at - Now().wall),
              1000 + prediction.checkpoint_seconds() + prediction.evaluate_seconds(), 1e-6);
}

TEST(PlanningTest, APolicyBoundsTheLeaseOnTheDevicesThatItSelects) {
  for (const auto& [selector, lease_seconds] :
       {std::pair("device=orin", 600.0), std::pair("device=nano", 3600.0)}) {
    Fleet fleet;
    v1::Policy policy;
    policy.set_name("mast");
    policy.add_selector(selector);
    policy.set_offline_seconds(600);
    Do(fleet.state, fleet.observations, ApplyPolicy{policy});
    v1::JobSpec spec = Finetune();
    spec.set_lease_seconds(3600);
    Do(fleet.state, fleet.observations, SubmitJob{spec, "key"});
    Do(fleet.state, fleet.observations,
       ComputePlan(MakeSnapshot(fleet.state, fleet.observations, {}, Now())));
    EXPECT_EQ(FindAttempt(fleet.state, AttemptId("j1.1"))->lease_seconds(), lease_seconds)
        << selector;
  }
}

TEST(PlanningTest, BackoffKeepsAJobOutOfTheQueue) {
  Fleet fleet;
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  fleet.state.jobs.Mutable(1).set_backoff_seconds(5);
  for (const double days : {-10, 0, 10}) {
    const absl::Duration step = absl::Hours(24 * days);
    EXPECT_THAT(MakeSnapshot(fleet.state, fleet.observations, {}, Stepped(Now(), step)).queue,
                SizeIs(0));
    EXPECT_THAT(MakeSnapshot(fleet.state, fleet.observations, {}, Stepped(Now(6), step)).queue,
                SizeIs(1));
  }
}

TEST(PlanningTest, OnlyDeviceIsNotAvoidedForItsFailure) {
  Fleet fleet;
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  v1::Attempt& failed = *fleet.state.jobs.Mutable(1).mutable_job()->add_attempts();
  failed.set_device_id("device-1");
  failed.set_state(v1::ATTEMPT_STATE_FAILED);
  failed.set_attempt_id("j1.1");
  fleet.state.attempt_times.Mutable(AttemptId("j1.1")).state = Now().monotonic;
  failed.mutable_receipt()->set_failure_class(v1::FAILURE_CLASS_DEVICE);
  EXPECT_THAT(MakeSnapshot(fleet.state, fleet.observations, {}, Now()).queue[0].avoided_devices,
              SizeIs(0));
  fleet.state.devices.Mutable(DeviceId("device-2")).mutable_info()->set_device_id("device-2");
  EXPECT_THAT(MakeSnapshot(fleet.state, fleet.observations, {}, Now()).queue[0].avoided_devices,
              SizeIs(1));
}

TEST(PlanningTest, DryRunSeesTheOutputOfAJobThatStillRuns) {
  Fleet fleet;
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  v1::PlanRequest request;
  *request.mutable_spec() = Finetune();
  request.mutable_spec()->mutable_finetune()->set_model("job:j1/output");
  const auto plan = DryRun(fleet.state, fleet.observations, {}, request, Now());
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->chosen_device_id(), "device-1") << plan->ShortDebugString();
}

// A job's input exists before the job, so no jobs can wait for one another.
TEST(PlanningTest, AJobThatWaitsForItselfOrForALaterOneIsRefused) {
  Fleet fleet;
  for (const char* of : {"j1", "j2", "j99"}) {
    v1::JobSpec spec = Finetune();
    spec.mutable_finetune()->set_model(absl::StrCat("job:", of, "/output"));
    const Decision decision =
        Decide(fleet.state, SubmitJob{spec, "key"}, fleet.observations, Now());
    EXPECT_THAT(decision.status, StatusIs(absl::StatusCode::kNotFound,
                                          HasSubstr(absl::StrCat("no job \"", of, "\""))));
    EXPECT_TRUE(decision.events.empty());
  }
}

TEST(PlanningTest, WithoutPoliciesAlsoTheGuardsThatIdleByThemAreContent) {
  Fleet fleet;
  v1::Policy reserve;
  reserve.set_name("field");
  reserve.set_reserve_state_of_charge_ratio(0.9);
  Do(fleet.state, fleet.observations, ApplyPolicy{reserve});
  fleet.state.devices.Mutable(DeviceId("device-1")).mutable_info()->set_battery_capacity_wh(100);
  v1::Heartbeat& heartbeat = fleet.observations.devices[DeviceId("device-1")].heartbeat;
  heartbeat.set_has_battery(true);
  heartbeat.set_state_of_charge_ratio(0.8);
  heartbeat.set_guard_reason("battery at 80 %, reserve 90 %");
  v1::PlanRequest request;
  *request.mutable_spec() = Finetune();
  const auto by_policy = DryRun(fleet.state, fleet.observations, {}, request, Now());
  ASSERT_THAT(by_policy, IsOk());
  EXPECT_EQ(by_policy->candidates(0).refused_by(), "battery_reserve");
  v1::PlanRequest what_if = request;
  *what_if.add_policies() = reserve;
  what_if.mutable_policies(0)->set_reserve_state_of_charge_ratio(0.2);
  request.set_ignore_policies(true);
  for (const v1::PlanRequest& asked : {request, what_if}) {
    const auto plan = DryRun(fleet.state, fleet.observations, {}, asked, Now());
    ASSERT_THAT(plan, IsOk());
    EXPECT_EQ(plan->chosen_device_id(), "device-1") << plan->ShortDebugString();
  }
  heartbeat.set_guard_reason("under-voltage: its supply is too weak");
  for (const v1::PlanRequest& asked : {request, what_if}) {
    const auto plan = DryRun(fleet.state, fleet.observations, {}, asked, Now());
    ASSERT_THAT(plan, IsOk());
    EXPECT_EQ(plan->candidates(0).refused_by(), "guard") << "no policy makes a supply stronger";
  }
  what_if.set_ignore_policies(true);
  EXPECT_THAT(DryRun(fleet.state, fleet.observations, {}, what_if, Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ignore_policies")));
}

TEST(PlanningTest, ModelTooLargeForEveryDeviceIsImpossible) {
  const Fleet fleet;
  PlanningInputs inputs;
  EXPECT_THAT(CheckPossible(fleet.state, fleet.observations, inputs, Finetune(), Now()), IsOk());
  inputs.estimate_memory = [](const v1::JobSpec&, const v1::ModelShape&,
                              const scheduler::DataMemory&) {
    return PeakMemory{.cores_bytes = int64_t{1} << 40};
  };
  EXPECT_THAT(
      CheckPossible(fleet.state, fleet.observations, inputs, Finetune(), Now()),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("the nearest is orin: needs "), Not(HasSubstr("memory refuses")))));
}

// 3 GiB for each example of a forward pass, half of that with checkpointing.
PlanningInputs BytesByBatch() {
  PlanningInputs inputs;
  inputs.estimate_memory = [](const v1::JobSpec& spec, const v1::ModelShape&,
                              const scheduler::DataMemory&) {
    const int64_t kept = spec.finetune().activation_checkpointing() ? 1 : 2;
    return PeakMemory{.cores_bytes = spec.finetune().batch_size() * kept * (int64_t{3} << 29)};
  };
  return inputs;
}

TEST(PlanningTest, ARefusalForMemoryNamesTheFirstFormThatFits) {
  const Fleet fleet;  // a board of 8 GiB
  v1::PlanRequest request;
  *request.mutable_spec() = Finetune();
  const auto plan = DryRun(fleet.state, fleet.observations, BytesByBatch(), request, Now());
  ASSERT_THAT(plan, IsOk());
  constexpr char kFirst[] = "needs 4.4 GiB more, or would fit with activation_checkpointing: true";
  EXPECT_THAT(plan->candidates(0).reason(), testing::EndsWith(kFirst));
  EXPECT_THAT(CheckPossible(fleet.state, fleet.observations, BytesByBatch(), Finetune(), Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr(absl::StrCat(kFirst, "; 'wattle"))));
  request.mutable_spec()->mutable_finetune()->set_batch_size(16);
  const auto larger = DryRun(fleet.state, fleet.observations, BytesByBatch(), request, Now());
  ASSERT_THAT(larger, IsOk());
  EXPECT_THAT(larger->candidates(0).reason(),
              HasSubstr("would fit with activation_checkpointing: true, batch_size: 4, "
                        "gradient_accumulation_steps: 4"));
}

// Half of the board's memory would do, and a card of 4 GiB does not.
TEST(PlanningTest, ARefusalForACardsMemoryNamesTheFirstFormThatFitsThere) {
  Fleet fleet;
  v1::Hello hello;
  hello.set_incarnation(2);
  *hello.mutable_device() = fleet.state.devices.find(DeviceId("device-1"))->second.info();
  hello.mutable_device()->set_accelerator("cuda");
  hello.mutable_device()->set_accelerator_total_bytes(int64_t{4} << 30);
  Do(fleet.state, fleet.observations, WorkerHello{hello});
  PlanningInputs inputs;
  inputs.estimate_memory = [](const v1::JobSpec& spec, const v1::ModelShape&,
                              const scheduler::DataMemory&) {
    const int64_t on_gpu = spec.finetune().batch_size() * (int64_t{1} << 30);
    return PeakMemory{
        .cores_bytes = int64_t{5} << 30, .gpu_bytes = on_gpu, .beside_gpu_bytes = int64_t{1} << 30};
  };
  v1::PlanRequest request;
  *request.mutable_spec() = Finetune();
  const auto plan = DryRun(fleet.state, fleet.observations, inputs, request, Now());
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(plan->candidates(0).reason(),
              AllOf(HasSubstr("3.8 GiB of the card's 4.0 GiB are usable"),
                    HasSubstr("or would fit with "), HasSubstr("batch_size: 2")));
  request.mutable_spec()->mutable_finetune()->set_batch_size(2);
  const auto fits = DryRun(fleet.state, fleet.observations, inputs, request, Now());
  ASSERT_THAT(fits, IsOk());
  EXPECT_TRUE(fits->candidates(0).feasible()) << fits->candidates(0).reason();
}

// The queue is planned again and again, and its jobs have passed the submit.
TEST(PlanningTest, TheQueueLooksAtNoLeanerForm) {
  Fleet fleet;
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  const scheduler::Snapshot snapshot =
      MakeSnapshot(fleet.state, fleet.observations, BytesByBatch(), Now());
  EXPECT_FALSE(snapshot.queue.front().leaner_forms.has_value());
}

TEST(PlanningTest, TheMemoryOfHeldoutDataIsAskedFor) {
  Fleet fleet;
  v1::ArtifactInfo heldout;
  heldout.set_artifact_id("aabbccdd33");
  heldout.set_name("heldout");
  heldout.set_kind(v1::ARTIFACT_KIND_DATASET);
  heldout.set_size_bytes(50'000);
  heldout.mutable_dataset()->set_format("squad");
  heldout.mutable_dataset()->set_examples(100);
  heldout.mutable_dataset()->set_mean_byte_length(500);
  heldout.mutable_dataset()->add_byte_length_quantiles(900);
  Do(fleet.state, fleet.observations, CommitArtifact{heldout});
  std::vector<scheduler::DataMemory> asked;
  PlanningInputs inputs;
  inputs.estimate_memory = [&asked](const v1::JobSpec&, const v1::ModelShape&,
                                    const scheduler::DataMemory& data) {
    asked.push_back(data);
    return PeakMemory{.cores_bytes = 1};
  };
  v1::PlanRequest request;
  *request.mutable_spec() = Finetune();
  EXPECT_THAT(DryRun(fleet.state, fleet.observations, inputs, request, Now()), IsOk());
  request.mutable_spec()->mutable_finetune()->set_heldout_data("heldout");
  EXPECT_THAT(DryRun(fleet.state, fleet.observations, inputs, request, Now()), IsOk());
  ASSERT_THAT(asked, SizeIs(2));
  EXPECT_EQ(asked[0].heldout_longest_tokens, 0);
  EXPECT_EQ(asked[1].heldout_longest_tokens, 901);
  EXPECT_GT(asked[1].held_bytes, asked[0].held_bytes);
  EXPECT_GT(asked[0].held_bytes, 0);
}

// A submit and a dry run read only their own job, however long the queue is.
TEST(PlanningTest, ADryRunAndASubmitLookAtNoQueuedJob) {
  Fleet fleet;
  for (int i = 0; i < 50; ++i) {
    Do(fleet.state, fleet.observations, SubmitJob{Finetune(), absl::StrCat("key-", i)});
  }
  int looked_at = 0;
  PlanningInputs inputs;
  inputs.estimate_memory = [&looked_at](const v1::JobSpec&, const v1::ModelShape&,
                                        const scheduler::DataMemory&) {
    ++looked_at;
    return PeakMemory{.cores_bytes = 1};
  };
  EXPECT_THAT(CheckPossible(fleet.state, fleet.observations, inputs, Finetune(), Now()), IsOk());
  EXPECT_EQ(looked_at, 1);
  v1::PlanRequest request;
  *request.mutable_spec() = Finetune();
  EXPECT_THAT(DryRun(fleet.state, fleet.observations, inputs, request, Now()), IsOk());
  EXPECT_EQ(looked_at, 2);
}

TEST(PlanningTest, APlanOlderThanAPolicyOfItsDeviceIsDropped) {
  Fleet fleet;
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  const PlanComputed plan = ComputePlan(MakeSnapshot(fleet.state, fleet.observations, {}, Now()));
  v1::Policy elsewhere;
  elsewhere.set_name("elsewhere");
  elsewhere.add_selector("site=mast");
  elsewhere.set_max_temperature_celsius(90);
  Do(fleet.state, fleet.observations, ApplyPolicy{elsewhere});
  State untouched = fleet.state;
  Do(untouched, fleet.observations, plan);
  EXPECT_NE(FindAttempt(untouched, AttemptId("j1.1")), nullptr);
  v1::Policy here;
  here.set_name("here");
  here.set_max_temperature_celsius(90);
  Do(fleet.state, fleet.observations, ApplyPolicy{here});
  Do(fleet.state, fleet.observations, plan);
  EXPECT_EQ(FindAttempt(fleet.state, AttemptId("j1.1")), nullptr);
}

TEST(PlanningTest, TheDecisionNeedsNothingFromTheExplanation) {
  Fleet fleet;
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  PlanComputed plan = ComputePlan(MakeSnapshot(fleet.state, fleet.observations, {}, Now()));
  plan.jobs[0].power_mode = "MODE_15W";
  plan.jobs[0].placement.clear_best();
  Do(fleet.state, fleet.observations, plan);
  const v1::DesiredSet desired = DesiredFor(fleet.state, DeviceId("device-1"));
  ASSERT_EQ(desired.assignments_size(), 1);
  EXPECT_EQ(desired.assignments(0).power_mode(), "MODE_15W");
  EXPECT_GT(desired.assignments(0).prediction().run_seconds().mean(), 0);
  EXPECT_LT(LeaseSecondsOf(*FindAttempt(fleet.state, AttemptId("j1.1"))), 24.0 * 3600);
}

TEST(ViewTest, UnreachableIsAFlagBesideTheState) {
  Fleet fleet;
  EXPECT_FALSE(
      DescribeDevice(fleet.state, fleet.observations, DeviceId("device-1"), Now()).unreachable());
  EXPECT_TRUE(
      DescribeDevice(fleet.state, fleet.observations, DeviceId("device-1"), Now(11)).unreachable());
  EXPECT_FALSE(DescribeDevice(fleet.state, fleet.observations, DeviceId("device-1"),
                              Stepped(Now(), absl::Hours(240)))
                   .unreachable());
}

// A new measurement of the idle watts is no event.
TEST(DecideHelloTest, OnlyAnotherDescriptionOrIncarnationRegistersTheDevice) {
  State state;
  WorkerHello command;
  command.hello.mutable_device()->set_device_id("d1");
  command.hello.mutable_device()->set_name("orin");
  command.hello.mutable_device()->set_device_class("jetson-orin-nano");
  command.hello.mutable_device()->set_idle_power_watts(3.1);
  command.hello.set_incarnation(1);
  const auto registers = [&] {
    bool registered = false;
    for (const v1::Event& event : Decide(state, command, {}, {}).events) {
      registered = registered || event.has_device_registered();
      Apply(state, event, kReplayed);
    }
    return registered;
  };
  EXPECT_TRUE(registers());
  EXPECT_FALSE(registers());
  command.hello.mutable_device()->set_idle_power_watts(3.2);
  EXPECT_FALSE(registers());
  command.hello.mutable_device()->set_memory_bytes(int64_t{8} << 30);
  EXPECT_TRUE(registers());
  command.hello.set_incarnation(2);
  EXPECT_TRUE(registers());
}

// Reports are numbered from 1. A worker with a fault may send another number.
TEST(DecideReportTest, AReportWithoutANumberIsNoFact) {
  Fleet fleet;
  WorkerReport command{DeviceId("device-1"), 7, {}};
  for (const int64_t sequence : {int64_t{0}, int64_t{-1}}) {
    command.report.set_sequence(sequence);
    const Decision decision = Decide(fleet.state, command, fleet.observations, Now());
    EXPECT_THAT(decision.events, SizeIs(0));
    ASSERT_THAT(decision.effects, SizeIs(1));
    EXPECT_EQ(std::get<Acknowledge>(decision.effects[0]).sequence, 0);
  }
}

}  // namespace
}  // namespace wattle::core
