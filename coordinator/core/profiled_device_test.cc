// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests which device a profile job measures, and which settings its file may have.
#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/dry_run.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/profiling_for_test.h"

namespace wattle::core {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

// Its earlier record is of another device, which the fleet has until an operator removes it.
TEST_F(ProfilingTest, ABoardWithANewCardIsMeasuredAsWhatItIsNow) {
  v1::Hello before = HelloOfBoard("before");
  before.mutable_device()->mutable_power_modes(0)->set_name("7W");
  before.mutable_device()->mutable_power_modes(1)->set_name("20W");
  before.mutable_device()->set_power_mode("20W");
  Do(WorkerHello{before});
  Submit(Profile());
  Plan();
  ASSERT_EQ(job().attempts_size(), 1) << job().reason();
  EXPECT_EQ(last().device_id(), kProfiledBoard);
  EXPECT_THAT(last().profile_point().power_mode(), AnyOf("10W", "15W"));
}

TEST_F(ProfilingTest, OfTwoBoardsOfOneNameTheOneThatRegisteredLastIsMeasured) {
  elapsed_ += absl::Minutes(1);
  const DeviceId later("z-later");
  ConnectNamesake(later);
  Submit(Profile());
  Plan();
  ASSERT_EQ(job().attempts_size(), 1) << job().reason();
  EXPECT_EQ(last().device_id(), later.value());
}

TEST_F(ProfilingTest, AnIdInTheLabelMeansOneOfTwoBoardsOfAName) {
  const DeviceId earlier("z-earlier");
  ConnectNamesake(earlier);
  elapsed_ += absl::Minutes(1);
  Connect();
  observations_.devices[earlier].last_seen = Now();
  v1::JobSpec spec = Profile();
  spec.set_required_labels(0, "device=z-earlier");
  Submit(spec);
  Plan();
  ASSERT_EQ(job().attempts_size(), 1) << job().reason();
  EXPECT_EQ(last().device_id(), earlier.value());
}

TEST_F(ProfilingTest, AJobMeasuresTheDeviceOfItsLiveAttempt) {
  Submit(Profile());
  Plan();
  ASSERT_EQ(job().attempts_size(), 1) << job().reason();
  elapsed_ += absl::Minutes(1);
  ConnectNamesake(DeviceId("z-later"));
  EXPECT_EQ(ProfiledDevice(state_, observations_, job()), DeviceId(kProfiledBoard));
  Finish();
  EXPECT_EQ(ProfiledDevice(state_, observations_, job()), DeviceId("z-later"));
}

TEST_F(ProfilingTest, AnUnknownDeviceIsRefusedByItsLabel) {
  v1::JobSpec spec = Profile();
  spec.set_required_labels(0, "device=nobody");
  EXPECT_THAT(CheckPossible(state_, {}, inputs_, spec, Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("device=nobody")));
}

TEST_F(ProfilingTest, AWorkerThatKnowsNoProfileJobsIsRefused) {
  v1::Hello hello = HelloOfBoard(kProfiledBoard);
  hello.mutable_device()->set_spec_revision(0);
  Do(WorkerHello{hello});
  EXPECT_THAT(
      CheckPossible(state_, {}, inputs_, Profile(), Now()),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("too old to know profile")));
}

// Waiting does not make another device the one that is measured.
TEST_F(ProfilingTest, ANamesakeMakesNoJobPossible) {
  ConnectNamesake(DeviceId("z-earlier"));
  elapsed_ += absl::Minutes(1);
  v1::Hello hello = HelloOfBoard(kProfiledBoard);
  hello.mutable_device()->set_spec_revision(0);
  Do(WorkerHello{hello});
  EXPECT_THAT(CheckPossible(state_, {}, inputs_, Profile(), Now()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no device of this fleet can run it")));
}

TEST(CheckProfileTest, RefusalsNameTheFieldAndTheRemedy) {
  const auto refused = [](const std::function<void(v1::JobSpec&)>& change) {
    v1::JobSpec spec = Profile();
    change(spec);
    const absl::Status status = ValidateSpec(spec, /*files_needed=*/true);
    return std::string(status.message());
  };
  EXPECT_EQ(refused([](v1::JobSpec&) {}), "");
  EXPECT_EQ(refused([](v1::JobSpec& spec) { spec.mutable_profile()->clear_finetune(); }),
            "profile: no workload; write a section finetune, generate or evaluate in it");
  EXPECT_EQ(refused([](v1::JobSpec& spec) { spec.clear_required_labels(); }),
            "required_labels: a profile job measures one device; name it once, as [device=NAME]");
  EXPECT_THAT(refused([](v1::JobSpec& spec) { spec.add_required_labels("device=other"); }),
              StartsWith("required_labels: "));
  EXPECT_EQ(refused([](v1::JobSpec& spec) { spec.mutable_profile()->add_batch_sizes(0); }),
            "profile.batch_sizes: 0: want 1 to 1024");
  EXPECT_EQ(refused([](v1::JobSpec& spec) {
              for (int i = 0; i < 8; ++i) {
                spec.mutable_profile()->add_batch_sizes(1);
              }
            }),
            "profile.batch_sizes: 10 entries: want at most 8");
  EXPECT_EQ(refused([](v1::JobSpec& spec) { spec.mutable_profile()->set_run_seconds(0.5); }),
            "profile.run_seconds: 0.5: want at least 1, or leave it out");
  EXPECT_THAT(refused([](v1::JobSpec& spec) { spec.mutable_profile()->set_runs_max(101); }),
              HasSubstr("profile.runs_max: 101: want 0 to 100"));
  EXPECT_EQ(refused([](v1::JobSpec& spec) { spec.mutable_profile()->set_gain_percent_min(0.01); }),
            "profile.gain_percent_min: 0.01: want at least 0.1, or leave it out");
  EXPECT_THAT(
      refused([](v1::JobSpec& spec) { spec.mutable_profile()->mutable_finetune()->clear_model(); }),
      StartsWith("profile: finetune.model: missing"));
  EXPECT_THAT(
      refused([](v1::JobSpec& spec) { spec.mutable_quality_floor()->set_kl_divergence_max(0.1); }),
      HasSubstr("quality_floor"));
}

}  // namespace
}  // namespace wattle::core
