// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/runtime/counters.h"

#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "coordinator/core/core.h"
#include "coordinator/core/state.h"

namespace wattle::runtime {
namespace {

v1::Event Superseded(int64_t sequence, bool with_receipt) {
  v1::Event event;
  event.set_sequence(sequence);
  v1::AttemptStateChanged& changed = *event.mutable_attempt_state_changed();
  changed.set_attempt_id("j1.1");
  changed.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
  if (with_receipt) {
    changed.mutable_receipt()->mutable_total()->set_gross_energy_joules(40);
  }
  return event;
}

// A late receipt repeats the state of the ended attempt.
TEST(CountersTest, ALateReceiptCountsItsJoulesAndNoSecondEnd) {
  core::State state;
  Counters counters;
  const auto commit = [&](const v1::Event& event) {
    counters.CountCommit(absl::Milliseconds(1), std::vector<v1::Event>{event}, state);
    core::Apply(state, event, core::kReplayed);
  };
  v1::Event submitted;
  submitted.set_sequence(1);
  submitted.mutable_job_submitted()->set_job_id("j1");
  commit(submitted);
  v1::Event placed;
  placed.set_sequence(2);
  placed.mutable_attempt_placed()->set_attempt_id("j1.1");
  placed.mutable_attempt_placed()->set_job_id("j1");
  placed.mutable_attempt_placed()->set_device_id("d1");
  commit(placed);
  commit(Superseded(3, false));
  EXPECT_EQ(counters.Values().attempts_entered.at(v1::ATTEMPT_STATE_SUPERSEDED), 1U);
  commit(Superseded(4, true));
  EXPECT_EQ(counters.Values().attempts_entered.at(v1::ATTEMPT_STATE_SUPERSEDED), 1U);
  EXPECT_EQ(counters.Values().receipt_energy_joules.at(v1::ENERGY_SOURCE_UNSPECIFIED), 40);
}

// The coordinator ends the attempt with its own receipt; the worker's receipt comes later.
TEST(CountersTest, AnAttemptThatTheCoordinatorEndsIsOneFailureOfItsSource) {
  core::State state;
  Counters counters;
  int64_t sequence = 0;
  const auto commit = [&](v1::Event event) {
    event.set_sequence(++sequence);
    counters.CountCommit(absl::Milliseconds(1), std::vector<v1::Event>{event}, state);
    core::Apply(state, event, core::kReplayed);
  };
  v1::Event submitted;
  submitted.mutable_job_submitted()->set_job_id("j1");
  commit(submitted);
  v1::Event placed;
  placed.mutable_attempt_placed()->set_attempt_id("j1.1");
  placed.mutable_attempt_placed()->set_job_id("j1");
  placed.mutable_attempt_placed()->set_device_id("d1");
  commit(placed);
  v1::Event failed;
  v1::AttemptStateChanged& changed = *failed.mutable_attempt_state_changed();
  changed.set_attempt_id("j1.1");
  changed.set_state(v1::ATTEMPT_STATE_FAILED);
  changed.mutable_receipt()->set_failure_class(v1::FAILURE_CLASS_JOB);
  commit(failed);
  EXPECT_TRUE(counters.Values().work.done.empty());
  EXPECT_TRUE(counters.Values().receipt_energy_joules.empty());
  changed.mutable_receipt()->set_device_class("orin");
  changed.mutable_receipt()->mutable_total()->set_source(v1::ENERGY_SOURCE_INA3221);
  changed.mutable_receipt()->mutable_total()->set_gross_energy_joules(40);
  commit(failed);
  const WorkTotals work = counters.Values().work;
  ASSERT_EQ(work.done.size(), 1U);
  EXPECT_EQ(work.done.begin()->first.source, v1::ENERGY_SOURCE_INA3221);
  EXPECT_EQ(work.done.begin()->second.at(v1::ATTEMPT_STATE_FAILED).attempts, 1);
  EXPECT_EQ(work.failures.at(v1::FAILURE_CLASS_JOB), 1);
}

TEST(CountersTest, AnAdminsTokenMadeOnTheMachineIsCounted) {
  Counters counters;
  for (const auto& [by, role] :
       {std::pair("local", "admin"), std::pair("local", "viewer"), std::pair("ann", "admin")}) {
    v1::Event event;
    v1::EnrolmentToken& token = *event.mutable_token_created()->mutable_token();
    token.set_created_by(by);
    token.set_role(role);
    counters.CountCommit(absl::Milliseconds(1), std::vector<v1::Event>{event}, core::State());
  }
  EXPECT_EQ(counters.Values().local_admin_tokens, 1U);
}

}  // namespace
}  // namespace wattle::runtime
