// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Boards for tests that script all events of their world.
#ifndef WATTLE_TESTS_SIMULATION_BOARDS_FOR_TEST_H_
#define WATTLE_TESTS_SIMULATION_BOARDS_FOR_TEST_H_

#include <cstdint>
#include <string>
#include <utility>

#include "gtest/gtest.h"

#include "coordinator/core/testing/spec_for_test.h"
#include "sim/event_loop.h"
#include "sim/fleet.h"
#include "sim/options.h"
#include "sim/random.h"
#include "tests/simulation/fault_points.h"

namespace wattle::sim {

// One board without users, on a lossless link.
inline Options ScriptedOptions(uint64_t seed) {
  Options options;
  options.seed = seed;
  options.devices = 1;
  options.jobs = 0;
  options.delay_seconds_max = 0.05;
  options.loss = 0.0;
  options.duplication = 0.0;
  options.attempt_failure = 0.0;
  return options;
}

// 12 W of work, with small checkpoints and a small result.
inline Workload ScriptedWork(int64_t steps, double step_seconds) {
  Workload workload;
  workload.steps = steps;
  workload.step_seconds = step_seconds;
  workload.tokens_per_step = 100;
  workload.start_seconds = 10;
  workload.start_power = Watts(8);
  workload.power = Watts(12);
  workload.checkpoint_seconds = 1;
  workload.checkpoint_bytes = 1 << 20;
  workload.result_bytes = 1 << 20;
  workload.work.set_steps(steps);
  return workload;
}

// An Orin Nano on which every job is this work.
inline Machine ScriptedMachine(const std::string& name, const Workload& workload) {
  Machine machine;
  machine.info.set_name(name);
  machine.info.set_device_class("jetson-orin-nano");
  machine.info.set_time_scale(1.0);
  machine.info.set_memory_bytes(int64_t{8} << 30);
  machine.info.set_energy_source(v1::ENERGY_SOURCE_INA3221);
  machine.info.set_engine_version("wattle-sim");
  machine.info.set_cache_quota_bytes(int64_t{1} << 36);
  machine.info.set_link_bytes_per_second(1e6);
  machine.workload = [workload](const v1::JobSpec& /*spec*/) { return workload; };
  machine.artifact_bytes = [](const std::string& /*id*/) { return int64_t{1} << 20; };
  return machine;
}

// The coordinator and its boards, in a test that scripts all events.
class ScriptedBoards : public testing::Test {
 protected:
  explicit ScriptedBoards(const Options& options) : options_(options), random_(options.seed) {}
  void TearDown() override { TurnOnFaultPoint(""); }

  void Post(core::Command command) {
    fleet_.coordinator().Post(std::move(command), [](const event_loop::Answer& answer) {
      EXPECT_TRUE(answer.status.ok()) << answer.status;
    });
  }
  // Stops early if an invariant breaks.
  void RunUntil(double seconds) {
    loop_.RunUntil(seconds, [this] { return !fleet_.invariants().breach().empty(); });
  }
  // The model and the data of the jobs.
  void PushInputs() {
    Post(core::CommitArtifact{core::TinyModel()});
    Post(core::CommitArtifact{core::Questions(1000)});
  }
  Worker& board() { return *fleet_.workers().front(); }

  const Options options_;
  Random random_;
  EventLoop loop_;
  Counts counts_;
  Fleet fleet_{{options_, random_, loop_, counts_}, {}, [](const std::string& /*id*/) {}};
};

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_BOARDS_FOR_TEST_H_
