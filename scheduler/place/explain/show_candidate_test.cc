// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the message of an option: every field must be filled.
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "scheduler/place/place.h"
#include "scheduler/place/testing/fleet_for_test.h"
#include "scheduler/place/testing/queue_for_test.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::scheduler {
namespace {

using google::protobuf::FieldDescriptor;

// A board of two power modes, with an accelerator and cores beside it, and a gauge.
DeviceView BoardOfManyModes() {
  DeviceView view = OrinNano("modes");
  v1::DeviceInfo& info = *view.device.mutable_info();
  info.set_accelerator("cuda");
  info.set_offers_cpu(true);
  info.set_sets_power_modes(true);
  info.set_power_mode("7W");
  info.add_power_modes()->set_name("7W");
  info.add_power_modes()->set_name("15W");
  SetBattery(500, 1, &view);
  return view;
}

std::vector<DeviceView> BoardsOfEachKind() {
  std::vector<DeviceView> boards = {BoardOfManyModes(), OrinNano("busy"), OrinNano("drained"),
                                    OrinNano("bare")};
  boards[1].free_at = kTestNow + absl::Hours(1);
  boards[1].waits_for = "its attempt is paused";
  boards[1].remaining_low = absl::Minutes(50);
  boards[1].remaining_high = absl::Minutes(70);
  boards[2].device.set_drained(true);
  boards[3].device.mutable_info()->clear_engine_version();
  return boards;
}

JobView JobOfAFloor() {
  JobView job = RealJob("j2", 1000);
  job.spec.mutable_quality_floor()->set_perplexity_change_percent_max(1);
  job.models.push_back({job.inputs[0].artifact, "gpt2", true, {}});
  return job;
}

class ShowCandidateTest : public testing::Test {
 protected:
  void Show(const Snapshot& snapshot, const JobView& job) {
    const auto plan = PlanJob(snapshot, job);
    ASSERT_THAT(plan, IsOk());
    for (const v1::Candidate& candidate : plan->candidates()) {
      Note(candidate);
    }
  }
  void Note(const v1::Candidate& candidate) {
    std::vector<const FieldDescriptor*> fields;
    candidate.GetReflection()->ListFields(candidate, &fields);
    for (const FieldDescriptor* field : fields) {
      shown_.insert(field->name());
    }
  }

  const ProfileTable table_ = ProfileTable::Priors();
  std::set<std::string> shown_;
};

TEST_F(ShowCandidateTest, EachFieldIsShownOfSomeBoard) {
  Snapshot snapshot = MakeSnapshot(BoardsOfEachKind(), table_);
  v1::Policy& policy = snapshot.policies.emplace_back();
  policy.set_name("mast");
  policy.set_reserve_state_of_charge_ratio(0.3);
  Show(snapshot, RealJob("j1", 1000));
  Show(snapshot, JobOfAFloor());
  JobView on_cores = RealJob("j3", 1000);
  on_cores.spec.set_accelerator(v1::ACCELERATOR_CPU);
  Show(snapshot, on_cores);
  JobView in_mode = RealJob("j4", 1000);
  in_mode.profile_point.emplace().set_power_mode("15W");
  Show(snapshot, in_mode);
  // An unmeasured board, for a job whose deadline its mean would just meet.
  snapshot.devices = {MakeDevice("board-unknown", "unknown")};
  JobView probing = RealJob("j5", 10'000);
  const double mean = PlanJob(snapshot, probing)->candidates(0).prediction().run_seconds().mean();
  probing.spec.set_deadline_seconds(mean);
  snapshot.queue = {probing};
  Note(PlanQueue(snapshot).front().placement.best(0));

  for (int i = 0; i < v1::Candidate::descriptor()->field_count(); ++i) {
    const std::string& name = v1::Candidate::descriptor()->field(i)->name();
    // The coordinator plans what would have to change.
    EXPECT_EQ(shown_.contains(name), name != "would_win_if") << name;
  }
}

TEST_F(ShowCandidateTest, EachOptionTellsItsOwnNumbers) {
  const auto plan = PlanJob(MakeSnapshot(BoardsOfEachKind(), table_), RealJob("j1", 1000));
  ASSERT_THAT(plan, IsOk());
  const v1::Candidate& modes = *FindCandidate(*plan, "modes");
  EXPECT_EQ(modes.cost(), modes.marginal_energy_joules()) << "it starts now";
  EXPECT_GT(modes.finish_in_seconds(), modes.prediction().run_seconds().mean());
  EXPECT_LT(modes.state_of_charge_after_ratio(), 1);
  EXPECT_EQ(modes.other_power_modes_size(), 3);
  const v1::Candidate& busy = *FindCandidate(*plan, "busy");
  EXPECT_EQ(busy.start_in_seconds(), 3600);
  EXPECT_EQ(busy.waits_for(), "its attempt is paused");
  EXPECT_NEAR(busy.cost(), 1.01 * busy.marginal_energy_joules(), 1e-9) << "an hour costs 1 %";
  const v1::Candidate& drained = *FindCandidate(*plan, "drained");
  EXPECT_EQ(drained.refused_by(), "drained");
  EXPECT_EQ(drained.reason(), "drained; feasible after: wattle device resume");
  EXPECT_FALSE(drained.permanent());
  EXPECT_TRUE(FindCandidate(*plan, "bare")->permanent());
}

}  // namespace
}  // namespace wattle::scheduler
