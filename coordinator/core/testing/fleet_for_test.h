// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A fleet of one board and a clock, for the tests of this folder.
#ifndef WATTLE_COORDINATOR_CORE_TESTING_FLEET_FOR_TEST_H_
#define WATTLE_COORDINATOR_CORE_TESTING_FLEET_FOR_TEST_H_

#include <cstdint>

#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/spec_for_test.h"

namespace wattle::core {

// The moment `seconds` after the start of the test, on both clocks.
inline Instant Now(double seconds = 0) {
  return {absl::FromUnixSeconds(1'000'000) + absl::Seconds(seconds),
          Monotonic(absl::Seconds(1000 + seconds))};
}
// The same moment after a step of the wall clock.
inline Instant Stepped(Instant now, absl::Duration step) {
  now.wall += step;
  return now;
}

inline void Do(State& state, const Observations& observations, const Command& command,
               const Instant& now = Now()) {
  const Decision decision = Decide(state, command, observations, now);
  ASSERT_THAT(decision.status, IsOk());
  for (const v1::Event& event : decision.events) {
    Apply(state, event, now.monotonic);
  }
}

// A fleet of one emulated board with a model and a data set.
struct Fleet {
  State state;
  Observations observations;

  Fleet() {
    Do(state, observations, CommitArtifact{TinyModel()});
    Do(state, observations, CommitArtifact{Questions(100)});
    v1::Hello hello;
    hello.set_incarnation(1);
    hello.mutable_device()->set_device_id("device-1");
    hello.mutable_device()->set_name("orin");
    hello.mutable_device()->set_device_class("jetson-orin-nano");
    hello.mutable_device()->set_emulated(true);
    hello.mutable_device()->set_memory_bytes(int64_t{8} << 30);
    hello.mutable_device()->set_engine_version("test");
    hello.mutable_device()->set_cache_quota_bytes(int64_t{1} << 34);
    observations.devices[DeviceId("device-1")].connected = true;
    observations.devices[DeviceId("device-1")].last_seen = Now();
    Do(state, observations, WorkerHello{hello});
  }
};

// Job j1, whose attempt j1.1 is placed on the board at Now().
inline void PlaceFirst(Fleet& fleet) {
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  Do(fleet.state, fleet.observations,
     ComputePlan(MakeSnapshot(fleet.state, fleet.observations, {}, Now())));
  ASSERT_NE(FindAttempt(fleet.state, AttemptId("j1.1")), nullptr);
}

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_TESTING_FLEET_FOR_TEST_H_
