// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards that run a job on their GPU or on their cores: what the journal, the board and the
// profiles learn of it.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "coordinator/core/testing/boards_for_test.h"
#include "scheduler/predict/testing/receipt_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::core {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::JobSpec PinnedTo(v1::Accelerator accelerator) {
  v1::JobSpec spec = Finetune();
  spec.set_accelerator(accelerator);
  return spec;
}

const v1::ProfileRow* RowOfDevice(const State& state, const std::string& device_class) {
  for (const auto& [key, row] : state.profiles.OfClass(device_class)) {
    if (row.device_id() == "orin" && row.source() == v1::PROFILE_SOURCE_MEASURED) {
      return &row;
    }
  }
  return nullptr;
}

TEST(ProcessorsTest, TheAssignmentTellsTheBoardItsProcessor) {
  for (const bool on_cpu : {false, true}) {
    Boards boards;
    boards.AddWithGpu("orin", 1, 3);
    const std::string job =
        boards.Submit(100, PinnedTo(on_cpu ? v1::ACCELERATOR_CPU : v1::ACCELERATOR_CUDA));
    boards.Plan();
    EXPECT_EQ(boards.Attempt(job + ".1").on_cpu(), on_cpu);
    const v1::DesiredSet desired = DesiredFor(boards.state, DeviceId("orin"));
    ASSERT_THAT(desired.assignments(), SizeIs(1));
    EXPECT_EQ(desired.assignments(0).on_cpu(), on_cpu);
    // An older worker would refuse a spec with a field that it lacks.
    EXPECT_EQ(desired.assignments(0).spec().accelerator(),
              on_cpu ? v1::ACCELERATOR_CPU : v1::ACCELERATOR_UNSPECIFIED);
  }
}

TEST(ProcessorsTest, NoBoardRunsAJobOnEachOfItsProcessorsAtOnce) {
  Boards boards;
  boards.AddWithGpu("orin", 1, 3);
  const std::string first = boards.Submit(100, PinnedTo(v1::ACCELERATOR_CUDA));
  const std::string second = boards.Submit(100, PinnedTo(v1::ACCELERATOR_CPU));
  boards.Plan();
  ASSERT_THAT(boards.Job(first).attempts(), SizeIs(1));
  EXPECT_THAT(boards.Job(second).attempts(), IsEmpty());
  boards.Run(first + ".1");
  boards.Advance(absl::Seconds(50));
  boards.Plan();
  for (const v1::Attempt& behind : boards.Job(second).attempts()) {
    EXPECT_EQ(behind.after_attempt_id(), first + ".1");
  }
  boards.Finish(first + ".1");
  boards.Plan();
  ASSERT_THAT(boards.Job(second).attempts(), SizeIs(1));
  EXPECT_TRUE(boards.Attempt(second + ".1").on_cpu());
}

TEST(ProcessorsTest, AJobWhoseGpuFailsGoesOnByTheCoresUnlessItIsPinned) {
  for (const bool pinned : {false, true}) {
    Boards boards;
    boards.AddWithGpu("orin", 1, 3);
    const std::string job =
        boards.Submit(100, PinnedTo(pinned ? v1::ACCELERATOR_CUDA : v1::ACCELERATOR_UNSPECIFIED));
    boards.Plan();
    ASSERT_THAT(boards.Job(job).attempts(), SizeIs(1));
    EXPECT_FALSE(boards.Attempt(job + ".1").on_cpu());
    boards.Run(job + ".1");
    boards.Fail(job + ".1", v1::FAILURE_CLASS_DEVICE);
    boards.Advance(absl::Minutes(5));
    boards.Plan();
    ASSERT_THAT(boards.Job(job).attempts(), SizeIs(2));
    EXPECT_EQ(boards.Attempt(job + ".2").on_cpu(), !pinned);
  }
}

TEST(ProcessorsTest, ARunTeachesTheRowsOfItsProcessorAlone) {
  for (const bool on_cpu : {false, true}) {
    Boards boards;
    boards.AddWithGpu("orin", 1, 3);
    const double gpu = RowOfDevice(boards.state, "jetson-orin-nano")->seconds_per_unit().mean();
    const double cpu = RowOfDevice(boards.state, "jetson-orin-nano/cpu")->seconds_per_unit().mean();
    EXPECT_NEAR(cpu, 3 * gpu, 1e-9);
    const std::string job =
        boards.Submit(1000, PinnedTo(on_cpu ? v1::ACCELERATOR_CPU : v1::ACCELERATOR_CUDA));
    boards.Plan();
    boards.Run(job + ".1");
    const auto inputs = ForeseeInputs(boards.state, boards.Job(job).spec());
    ASSERT_THAT(inputs, IsOk());
    const auto work = scheduler::WorkOf(boards.Job(job).spec(), *inputs, boards.state.profiles);
    ASSERT_THAT(work, IsOk());
    // Slower than before by a tenth.
    v1::Receipt receipt = scheduler::MeasuredReceipt(*work, (on_cpu ? 3.3 : 1.1) * work->steps, 10);
    receipt.set_attempt_id(job + ".1");
    receipt.set_device_id("orin");
    receipt.set_device_class("jetson-orin-nano");
    receipt.set_on_cpu(on_cpu);
    boards.Advance(absl::Seconds(3300));
    boards.Finish(job + ".1", receipt);
    const double gpu_after =
        RowOfDevice(boards.state, "jetson-orin-nano")->seconds_per_unit().mean();
    const double cpu_after =
        RowOfDevice(boards.state, "jetson-orin-nano/cpu")->seconds_per_unit().mean();
    if (on_cpu) {
      EXPECT_EQ(gpu_after, gpu);
      EXPECT_GT(cpu_after, cpu);
    } else {
      EXPECT_GT(gpu_after, gpu);
      EXPECT_EQ(cpu_after, cpu);
    }
  }
}

}  // namespace
}  // namespace wattle::core
