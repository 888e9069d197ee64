// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests devices that leave, names that move, artifacts that are removed, and everything that must
// stay.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"

namespace wattle::core {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RemoveTest : public testing::Test {
 protected:
  RemoveTest() {
    EXPECT_THAT(Commit("aaaa0001", "tiny", v1::ARTIFACT_KIND_MODEL), IsOk());
    hello_.set_incarnation(1);
    hello_.mutable_device()->set_device_id("device-1");
    hello_.mutable_device()->set_name("mast");
    hello_.mutable_device()->set_device_class("raspberry-pi-5");
    EXPECT_THAT(Do(WorkerHello{hello_}), IsOk());
  }

  absl::Status Do(const Command& command) {
    const Decision decision = Decide(state_, command, observations_, now_);
    for (const v1::Event& event : decision.events) {
      Apply(state_, event, now_.monotonic);
    }
    return decision.status;
  }
  absl::Status Commit(const std::string& id, const std::string& name, v1::ArtifactKind kind,
                      bool move_name = false, const std::string& job_id = "") {
    v1::ArtifactInfo info;
    info.set_artifact_id(id);
    info.set_name(name);
    info.set_kind(kind);
    info.set_job_id(job_id);
    if (kind != v1::ARTIFACT_KIND_DATASET) {
      info.mutable_model_shape()->set_architecture("gpt2");
      info.set_parameter_count(10);
    }
    return Do(CommitArtifact{info, move_name});
  }
  absl::Status SubmitGenerate() {
    SubmitJob submit;
    submit.idempotency_key = "key";
    submit.spec.mutable_generate()->set_model("tiny");
    submit.spec.mutable_generate()->add_prompts("Who?");
    return Do(submit);
  }
  v1::ArtifactInfo View(const std::string& id) { return DescribeArtifact(state_, ArtifactId(id)); }

  State state_;
  Observations observations_;
  Instant now_{absl::UnixEpoch() + absl::Hours(500'000), Monotonic()};
  v1::Hello hello_;
};

TEST_F(RemoveTest, ANameIsTakenFromAnotherArtifactOnlyWhenAsked) {
  EXPECT_THAT(Commit("bbbb0002", "tiny", v1::ARTIFACT_KIND_DATASET),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       HasSubstr("\"tiny\" is the name of another model (aaaa0001); choose another "
                                 "name, or add --move")));
  EXPECT_EQ(ResolveArtifact(state_, "tiny")->value(), "aaaa0001");
  EXPECT_THAT(Commit("aaaa0001", "tiny", v1::ARTIFACT_KIND_MODEL), IsOk()) << "the same again";
  EXPECT_THAT(Commit("bbbb0002", "tiny", v1::ARTIFACT_KIND_DATASET, /*move_name=*/true), IsOk());
  EXPECT_EQ(ResolveArtifact(state_, "tiny")->value(), "bbbb0002");
  EXPECT_THAT(View("aaaa0001").names(), IsEmpty());
}

TEST_F(RemoveTest, AnArtifactListsAllItsNames) {
  EXPECT_THAT(Commit("aaaa0001", "base", v1::ARTIFACT_KIND_MODEL), IsOk());
  EXPECT_THAT(View("aaaa0001").names(), ElementsAre("base", "tiny"));
  EXPECT_EQ(View("aaaa0001").name(), "base") << "the latest push";
}

TEST_F(RemoveTest, ANameGoesAloneUntilItIsTheLastOne) {
  EXPECT_THAT(Commit("aaaa0001", "base", v1::ARTIFACT_KIND_MODEL), IsOk());
  EXPECT_THAT(Do(RemoveArtifact{"base"}), IsOk());
  EXPECT_THAT(View("aaaa0001").names(), ElementsAre("tiny"));
  EXPECT_EQ(View("aaaa0001").name(), "tiny");
  EXPECT_THAT(Do(RemoveArtifact{"tiny"}), IsOk());
  EXPECT_FALSE(state_.artifacts.contains(ArtifactId("aaaa0001")));
  EXPECT_TRUE(state_.artifact_names.empty());
  EXPECT_THAT(Do(RemoveArtifact{"tiny"}), StatusIs(absl::StatusCode::kNotFound, HasSubstr("tiny")));
}

TEST_F(RemoveTest, AnArtifactThatAnOpenJobNeedsStays) {
  ASSERT_THAT(SubmitGenerate(), IsOk());
  EXPECT_THAT(Do(RemoveArtifact{"tiny"}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("is needed by j1; wait until it has ended, or cancel it")));
  EXPECT_TRUE(state_.artifacts.contains(ArtifactId("aaaa0001")));
  EXPECT_THAT(Do(CancelJob{JobId("j1"), ""}), IsOk());
  EXPECT_THAT(Do(RemoveArtifact{"tiny"}), IsOk());
}

TEST_F(RemoveTest, AModelIsNotTakenAsADataSet) {
  EXPECT_THAT(Do(RemoveArtifact{"tiny", v1::ARTIFACT_KIND_DATASET}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("wattle model rm")));
}

TEST_F(RemoveTest, AReferenceToNothingNamesThoseOfItsKindAlone) {
  ASSERT_THAT(Commit("bbbb0002", "text", v1::ARTIFACT_KIND_DATASET), IsOk());
  EXPECT_THAT(Do(RemoveArtifact{"none", v1::ARTIFACT_KIND_RELEASE}),
              StatusIs(absl::StatusCode::kNotFound,
                       "no release \"none\"; there is none yet; push it with 'wattle release "
                       "push'"));
  EXPECT_THAT(Do(RemoveArtifact{"none", v1::ARTIFACT_KIND_DATASET}),
              StatusIs(absl::StatusCode::kNotFound,
                       "no artifact \"none\"; known: text; push it with 'wattle data push'"));
  EXPECT_THAT(Do(RemoveArtifact{"none", v1::ARTIFACT_KIND_MODEL}),
              StatusIs(absl::StatusCode::kNotFound,
                       "no artifact \"none\"; known: tiny; push it with 'wattle model push'"));
}

TEST_F(RemoveTest, TheOutputOfAGenerateJobIsNotTakenAsAModel) {
  ASSERT_THAT(SubmitGenerate(), IsOk());
  ASSERT_THAT(Commit("cccc0003", "", v1::ARTIFACT_KIND_RESULT, false, "j1"), IsOk());
  EXPECT_FALSE(View("cccc0003").has_model_shape());
  EXPECT_EQ(View("cccc0003").parameter_count(), 0);
}

TEST_F(RemoveTest, ADeviceLeavesAndComesBackWithItsHistory) {
  observations_.devices[DeviceId("device-1")].connected = true;
  EXPECT_THAT(Do(RemoveDevice{DeviceId("device-1")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("mast is connected; stop its worker first")));
  observations_.devices.clear();
  EXPECT_THAT(Do(RemoveDevice{DeviceId("device-1")}), IsOk());
  EXPECT_THAT(Do(RemoveDevice{DeviceId("device-1")}), IsOk()) << "repeated";
  EXPECT_THAT(ResolveDevice(state_, "mast").status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("mast")));
  EXPECT_NE(FindDevice(state_, DeviceId("device-1")), nullptr) << "its history stays";
  const absl::StatusOr<State> restored = ParseSnapshot(SnapshotBytes(state_));
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_TRUE(restored->devices.at(DeviceId("device-1")).removed());
  EXPECT_THAT(Do(WorkerHello{hello_}), IsOk());
  EXPECT_TRUE(ResolveDevice(state_, "mast").ok()) << "a worker that comes back registers again";
}

TEST_F(RemoveTest, ADeviceWhoseLeaseIsOverLeavesItsJobToTheQueue) {
  ASSERT_THAT(SubmitGenerate(), IsOk());
  v1::Event placed;
  placed.set_sequence(state_.last_sequence.value() + 1);
  placed.mutable_attempt_placed()->set_job_id("j1");
  placed.mutable_attempt_placed()->set_attempt_id("j1.1");
  placed.mutable_attempt_placed()->set_device_id("device-1");
  placed.mutable_attempt_placed()->set_lease_seconds(90);
  Apply(state_, placed, now_.monotonic);
  v1::Event active;
  active.set_sequence(state_.last_sequence.value() + 1);
  active.mutable_job_state_changed()->set_job_id("j1");
  active.mutable_job_state_changed()->set_state(v1::JOB_STATE_ACTIVE);
  Apply(state_, active, now_.monotonic);
  now_.monotonic = now_.monotonic + absl::Seconds(90);
  EXPECT_THAT(Do(RemoveDevice{DeviceId("device-1")}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("mast holds attempt j1.1; cancel its job, or wait until nothing "
                                 "was heard of the device for its lease of 1 min 30 s")));
  now_.monotonic = now_.monotonic + absl::Seconds(1);
  EXPECT_THAT(Do(RemoveDevice{DeviceId("device-1")}), IsOk());
  EXPECT_TRUE(FindDevice(state_, DeviceId("device-1"))->removed());
  EXPECT_EQ(FindJob(state_, JobId("j1"))->job().state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(FindJob(state_, JobId("j1"))->job().reason(),
            "lease of 1 min 30 s ended, nothing was heard of mast, which was removed");
  EXPECT_EQ(FindAttempt(state_, AttemptId("j1.1"))->state(), v1::ATTEMPT_STATE_SUPERSEDED);
}

TEST_F(RemoveTest, ARemovedDeviceIsSelectedByNoPolicy) {
  v1::Policy policy;
  policy.set_name("all");
  EXPECT_EQ(CountSelected(state_, policy), 1);
  ASSERT_THAT(Do(RemoveDevice{DeviceId("device-1")}), IsOk());
  EXPECT_EQ(CountSelected(state_, policy), 0);
}

}  // namespace
}  // namespace wattle::core
