// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// On which processor a device would run a job, where its worker offers its cores beside its GPU.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/place.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/processor.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kExamples = 1000;

DeviceView Board(const std::string& name = "board") {
  DeviceView view = MakeDevice("jetson-orin-nano", name);
  v1::DeviceInfo& info = *view.device.mutable_info();
  info.set_emulated(false);
  info.set_idle_power_watts(3);
  info.set_accelerator("cuda");
  info.set_offers_cpu(true);
  return view;
}

struct Measured {
  double seconds = 0;
  double watts = 0;
  bool on_cpu = false;
  std::string power_mode;
};

ProfileTable TableOf(const std::vector<Measured>& runs) {
  ProfileTable table = ProfileTable::Priors();
  const JobView job = RealJob("j1", kExamples);
  for (const Measured& run : runs) {
    const WorkAmount work = WorkOf(job.spec, job.inputs, table).value();
    v1::Receipt receipt = MeasuredReceipt(work, run.seconds, run.watts);
    receipt.set_power_mode(run.power_mode);
    for (int i = 0; i < 3; ++i) {
      for (const v1::ProfileRow& row : LearnFromReceipt(
               table, ProcessorOf(Board().device.info(), run.on_cpu), receipt, absl::UnixEpoch())) {
        EXPECT_THAT(table.Put(row), IsOk());
      }
    }
  }
  return table;
}

v1::Candidate PlanFor(const DeviceView& board, const ProfileTable& profiles, const JobView& job) {
  const Snapshot snapshot = MakeSnapshot({board}, profiles);
  const auto plan = PlanJob(snapshot, job);
  EXPECT_THAT(plan, IsOk());
  EXPECT_EQ(plan->candidates_size(), 1);
  return plan->candidates(0);
}

JobView PinnedTo(v1::Accelerator accelerator) {
  JobView job = RealJob("j1", kExamples);
  job.spec.set_accelerator(accelerator);
  return job;
}

// Net 1.8 kJ on the GPU, 3 kJ on the cores.
TEST(ProcessorChoiceTest, ThePlanHasBothWithTheirJoules) {
  const ProfileTable table = TableOf({{200, 12, false, ""}, {1000, 6, true, ""}});
  const v1::Candidate plan = PlanFor(Board(), table, RealJob("j1", kExamples));
  EXPECT_FALSE(plan.on_cpu());
  EXPECT_EQ(plan.device_class(), "jetson-orin-nano");
  EXPECT_NEAR(plan.prediction().run_energy_joules().mean(), 2400, 1);
  ASSERT_EQ(plan.other_power_modes_size(), 1);
  const v1::PowerModeChoice& cores = plan.other_power_modes(0);
  EXPECT_TRUE(cores.on_cpu());
  EXPECT_TRUE(cores.feasible());
  EXPECT_EQ(cores.provenance(), v1::PROVENANCE_MEASURED_DEVICE);
  EXPECT_NEAR(cores.run_seconds(), 1000, 1);
  EXPECT_NEAR(cores.run_energy_joules(), 6000, 1);
  EXPECT_GT(cores.marginal_energy_joules(), plan.marginal_energy_joules());
}

// Net 1.8 kJ on the GPU, 0.6 kJ on the cores, which need longer.
TEST(ProcessorChoiceTest, EachObjectiveTakesItsProcessor) {
  const ProfileTable table = TableOf({{200, 12, false, ""}, {300, 5, true, ""}});
  const Snapshot snapshot = MakeSnapshot({Board()}, table);
  const auto plan = PlanJob(snapshot, RealJob("j1", kExamples));
  ASSERT_THAT(plan, IsOk());
  EXPECT_TRUE(plan->candidates(0).on_cpu());
  EXPECT_FALSE(plan->candidates(0).sets_power_mode());
  EXPECT_THAT(plan->reason(), HasSubstr("on its CPU"));
  ASSERT_EQ(plan->candidates(0).other_power_modes_size(), 1);
  EXPECT_FALSE(plan->candidates(0).other_power_modes(0).on_cpu());
  EXPECT_FALSE(PlanFor(Board(), table, RealJob("j1", kExamples, v1::OBJECTIVE_TIME)).on_cpu());
}

// A guess is no reason to leave the GPU, whose rows say nothing about the cores.
TEST(ProcessorChoiceTest, WhatTheGpuMeasuredDoesNotStandForTheCores) {
  const ProfileTable table = TableOf({{200, 12, false, ""}});
  const v1::Candidate plan = PlanFor(Board(), table, RealJob("j1", kExamples));
  EXPECT_FALSE(plan.on_cpu());
  EXPECT_EQ(plan.prediction().provenance(), v1::PROVENANCE_MEASURED_DEVICE);
  ASSERT_EQ(plan.other_power_modes_size(), 1);
  EXPECT_EQ(plan.other_power_modes(0).provenance(), v1::PROVENANCE_DATASHEET);
  // Nor do the published rows of its class, which are those of the GPU.
  const v1::Candidate cores =
      PlanFor(Board(), ProfileTable::Priors(), PinnedTo(v1::ACCELERATOR_CPU));
  EXPECT_EQ(cores.prediction().provenance(), v1::PROVENANCE_DATASHEET);
  const v1::Candidate gpu =
      PlanFor(Board(), ProfileTable::Priors(), PinnedTo(v1::ACCELERATOR_CUDA));
  EXPECT_EQ(gpu.prediction().provenance(), v1::PROVENANCE_PUBLISHED);
}

TEST(ProcessorChoiceTest, EachPowerModeHasBoth) {
  const ProfileTable table = TableOf({{200, 12, false, "15W"}, {1000, 6, true, "15W"}});
  DeviceView board = Board();
  v1::DeviceInfo& info = *board.device.mutable_info();
  for (const char* name : {"10W", "15W"}) {
    v1::PowerMode& mode = *info.add_power_modes();
    mode.set_name(name);
    mode.set_nominal_power_watts(name[1] == '0' ? 10 : 15);
  }
  info.set_power_mode("15W");
  info.set_sets_power_modes(true);
  const v1::Candidate plan = PlanFor(board, table, RealJob("j1", kExamples));
  EXPECT_EQ(plan.power_mode(), "15W");
  EXPECT_FALSE(plan.on_cpu());
  ASSERT_EQ(plan.other_power_modes_size(), 3);
  const std::vector<std::pair<std::string, bool>> want = {
      {"10W", false}, {"10W", true}, {"15W", true}};
  for (size_t i = 0; i < want.size(); ++i) {
    const v1::PowerModeChoice& other = plan.other_power_modes(static_cast<int>(i));
    EXPECT_EQ(other.power_mode(), want[i].first);
    EXPECT_EQ(other.on_cpu(), want[i].second);
  }
}

TEST(ProcessorChoiceTest, AJobMayNameItsProcessor) {
  const ProfileTable table = TableOf({{200, 12, false, ""}, {300, 5, true, ""}});
  const v1::Candidate gpu = PlanFor(Board(), table, PinnedTo(v1::ACCELERATOR_CUDA));
  EXPECT_TRUE(gpu.feasible());
  EXPECT_FALSE(gpu.on_cpu());
  EXPECT_EQ(gpu.other_power_modes_size(), 0);
  const v1::Candidate cores = PlanFor(Board(), table, PinnedTo(v1::ACCELERATOR_CPU));
  EXPECT_TRUE(cores.feasible());
  EXPECT_TRUE(cores.on_cpu());
  EXPECT_EQ(cores.other_power_modes_size(), 0);
}

TEST(ProcessorChoiceTest, AMeasuringRunIsOfOneProcessor) {
  const ProfileTable table = TableOf({{200, 12, false, ""}, {300, 5, true, ""}});
  for (const v1::Accelerator accelerator : {v1::ACCELERATOR_UNSPECIFIED, v1::ACCELERATOR_CPU}) {
    JobView job = PinnedTo(accelerator);
    job.profile_point.emplace();
    const v1::Candidate run = PlanFor(Board(), table, job);
    EXPECT_EQ(run.on_cpu(), accelerator == v1::ACCELERATOR_CPU);
    EXPECT_EQ(run.other_power_modes_size(), 0);
  }
}

TEST(ProcessorChoiceTest, WithoutAnOfferThereIsOneWay) {
  const ProfileTable table = TableOf({{200, 12, false, ""}, {300, 5, true, ""}});
  DeviceView older = Board();
  older.device.mutable_info()->set_offers_cpu(false);
  EXPECT_EQ(PlanFor(older, table, RealJob("j1", kExamples)).other_power_modes_size(), 0);
  const v1::Candidate refused = PlanFor(older, table, PinnedTo(v1::ACCELERATOR_CPU));
  EXPECT_FALSE(refused.feasible());
  EXPECT_EQ(refused.refused_by(), "processor");
  EXPECT_TRUE(refused.permanent());
  DeviceView without = Board();
  without.device.mutable_info()->clear_accelerator();
  const v1::Candidate any = PlanFor(without, table, RealJob("j1", kExamples));
  EXPECT_FALSE(any.on_cpu());
  EXPECT_EQ(any.other_power_modes_size(), 0);
  EXPECT_TRUE(PlanFor(without, table, PinnedTo(v1::ACCELERATOR_CPU)).feasible());
}

TEST(ProcessorChoiceTest, AFleetWithoutAGpuNeverTakesAJobThatIsPinnedToOne) {
  const ProfileTable table = TableOf({});
  DeviceView without = Board();
  without.device.mutable_info()->clear_accelerator();
  Snapshot snapshot = MakeSnapshot({without}, table);
  const JobView job = PinnedTo(v1::ACCELERATOR_CUDA);
  const auto plan = PlanJob(snapshot, job);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->chosen_device_id(), "");
  EXPECT_THAT(plan->reason(), HasSubstr("accelerator"));
  EXPECT_THAT(plan->candidates(0).reason(),
              HasSubstr("the job has accelerator: cuda; feasible with accelerator: any"));
  snapshot.queue = {job};
  const auto placed = PlanQueue(snapshot);
  ASSERT_EQ(placed.size(), 1u);
  EXPECT_TRUE(placed[0].never);
}

// Its GPU would refuse the job, and other devices would never be tried.
TEST(ProcessorChoiceTest, Bf16OnAXavierIsForItsCores) {
  const ProfileTable table = TableOf({{200, 12, false, ""}, {1000, 6, true, ""}});
  DeviceView xavier = Board();
  xavier.device.mutable_info()->set_device_class("jetson-xavier-nx");
  JobView job = RealJob("j1", kExamples);
  job.spec.mutable_finetune()->set_precision(v1::PRECISION_BF16);
  const v1::Candidate plan = PlanFor(xavier, table, job);
  EXPECT_TRUE(plan.feasible());
  EXPECT_TRUE(plan.on_cpu());
  ASSERT_EQ(plan.other_power_modes_size(), 1);
  EXPECT_THAT(plan.other_power_modes(0).reason(), HasSubstr("feasible with precision: fp16"));
  job.spec.set_accelerator(v1::ACCELERATOR_CUDA);
  EXPECT_EQ(PlanFor(xavier, table, job).refused_by(), "bf16");
  EXPECT_TRUE(PlanFor(Board(), table, job).feasible()) << "an Orin has it";
  DeviceView card = Board();
  card.device.mutable_info()->set_device_class("generic-x86-64");
  v1::MeasuredRates& rates = *card.device.mutable_info()->add_rates();
  rates.set_accelerator("cuda");
  rates.set_fp16_flops(1e12);
  EXPECT_EQ(PlanFor(card, table, job).refused_by(), "bf16") << "its measured rates lack it";
  rates.set_bf16_flops(1e12);
  EXPECT_NE(PlanFor(card, table, job).refused_by(), "bf16");
}

// The same case for training on cores.
TEST(ProcessorChoiceTest, AnOldWorkersCoresTrainWeightsInBf16) {
  const ProfileTable table = TableOf({{200, 12, false, ""}, {1000, 6, true, ""}});
  JobView job = RealJob("j1", kExamples);
  job.spec.mutable_finetune()->set_weights_precision(v1::WEIGHTS_PRECISION_BF16);
  DeviceView old = Board();
  old.device.mutable_info()->set_spec_revision(1);
  const v1::Candidate plan = PlanFor(old, table, job);
  EXPECT_TRUE(plan.feasible());
  EXPECT_TRUE(plan.on_cpu());
  ASSERT_EQ(plan.other_power_modes_size(), 1);
  EXPECT_THAT(plan.other_power_modes(0).reason(), HasSubstr("once the worker is updated"));
  job.spec.set_accelerator(v1::ACCELERATOR_CUDA);
  EXPECT_EQ(PlanFor(old, table, job).refused_by(), "bf16_weights");
  EXPECT_TRUE(PlanFor(Board(), table, job).feasible());
}

// 7 GiB fit into the 7.6 GiB that are usable, and not with what CUDA takes of them.
TEST(ProcessorChoiceTest, AModelThatFitsTheBoardAndNotBesideCudaRunsOnTheCores) {
  const ProfileTable table = TableOf({{200, 12, false, ""}, {1000, 6, true, ""}});
  JobView job = RealJob("j1", kExamples);
  job.peak_memory.cores_bytes = int64_t{7} << 30;
  const v1::Candidate plan = PlanFor(Board(), table, job);
  EXPECT_TRUE(plan.feasible());
  EXPECT_TRUE(plan.on_cpu());
  ASSERT_EQ(plan.other_power_modes_size(), 1);
  EXPECT_FALSE(plan.other_power_modes(0).feasible());
  EXPECT_THAT(plan.other_power_modes(0).reason(), HasSubstr("needs 8.2 GiB of memory"));
}

// The runner's own limit stays that of all tensors: a driver has mappings of its own.
TEST(ProcessorChoiceTest, AModelThatFitsTheCardAndNotItsPcRunsOnTheCardAndTheOtherWayRound) {
  const ProfileTable table = TableOf({{200, 12, false, ""}, {1000, 6, true, ""}});
  JobView job = RealJob("j1", kExamples);
  job.peak_memory = {.cores_bytes = int64_t{9} << 30,
                     .gpu_bytes = int64_t{8} << 30,
                     .beside_gpu_bytes = int64_t{1} << 30};
  DeviceView pc = Board();
  pc.device.mutable_info()->set_accelerator_total_bytes(int64_t{12} << 30);
  const v1::Candidate on_card = PlanFor(pc, table, job);
  EXPECT_TRUE(on_card.feasible());
  EXPECT_FALSE(on_card.on_cpu());
  EXPECT_EQ(on_card.prediction().peak_memory_bytes(), job.peak_memory.cores_bytes);
  ASSERT_EQ(on_card.other_power_modes_size(), 1);
  EXPECT_THAT(on_card.other_power_modes(0).reason(), HasSubstr("needs 9.0 GiB of memory"));
  job.peak_memory = {.cores_bytes = int64_t{7} << 30,
                     .gpu_bytes = int64_t{6} << 30,
                     .beside_gpu_bytes = int64_t{1} << 30};
  pc.device.mutable_info()->set_accelerator_total_bytes(int64_t{6} << 30);
  const v1::Candidate on_cores = PlanFor(pc, table, job);
  EXPECT_TRUE(on_cores.feasible());
  EXPECT_TRUE(on_cores.on_cpu());
  ASSERT_EQ(on_cores.other_power_modes_size(), 1);
  EXPECT_THAT(on_cores.other_power_modes(0).reason(),
              HasSubstr("needs 7.2 GiB of its card's memory"));
}

TEST(ProcessorChoiceTest, ABoardTakesOneJobAtATimeOnWhicheverProcessor) {
  const ProfileTable table = TableOf({{200, 12, false, ""}, {300, 5, true, ""}});
  for (const v1::Accelerator first : {v1::ACCELERATOR_CUDA, v1::ACCELERATOR_CPU}) {
    Snapshot snapshot = MakeSnapshot({Board()}, table);
    JobView second =
        PinnedTo(first == v1::ACCELERATOR_CUDA ? v1::ACCELERATOR_CPU : v1::ACCELERATOR_CUDA);
    second.id = JobId("j2");
    snapshot.queue = {PinnedTo(first), second};
    const auto placed = PlanQueue(snapshot);
    ASSERT_EQ(placed.size(), 2u);
    for (size_t i = 0; i < placed.size(); ++i) {
      EXPECT_EQ(placed[i].placement.device_id(), "id-board");
      EXPECT_EQ(placed[i].on_cpu, snapshot.queue[i].spec.accelerator() == v1::ACCELERATOR_CPU);
      EXPECT_EQ(placed[i].placement.wait(), i == 1);
    }
  }
}

}  // namespace
}  // namespace wattle::scheduler
