// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads and runs scenarios for tests, from deploy/scenarios or from the test itself.
#ifndef WATTLE_TESTS_SIMULATION_SCENARIO_FOR_TEST_H_
#define WATTLE_TESTS_SIMULATION_SCENARIO_FOR_TEST_H_

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "sim/scenario/run.h"
#include "sim/scenario/scenario_file.h"

namespace wattle::sim {

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::string ScenarioPath(const std::string& name) {
  return absl::StrCat(WATTLE_SOURCE_DIR, "/deploy/scenarios/", name);
}

inline absl::StatusOr<Scenario> ReadScenarioAt(const std::string& name, const Changes& changes) {
  return ParseScenario(ReadText(ScenarioPath(name)), name, changes, [](const std::string& table) {
    return absl::StatusOr<std::string>(ReadText(ScenarioPath(table)));
  });
}

// A scenario of one test. Its sun is bright from 6 to 18 each day.
inline absl::StatusOr<Scenario> Parse(const std::string& text, const Changes& changes = {}) {
  return ParseScenario(text, "test.yaml", changes, [](const std::string& /*name*/) {
    std::string sun = "hour,w_per_m2\n";
    for (int hour = 0; hour < 240; ++hour) {
      absl::StrAppend(&sun, hour, ",", hour % 24 >= 6 && hour % 24 < 18 ? 600 : 0, "\n");
    }
    return absl::StatusOr<std::string>(sun);
  });
}

// One job of several hours with checkpoints, on a board that draws 3 W while idle; others: further
// entries of the file.
inline std::string OneLongJob(const std::string& others) {
  return absl::StrCat(R"(duration: 3d
fleet:
  - {name: mast, class: jetson-orin-nano, idle_watts: 3}
data: {questions: {examples: 40000}}
jobs:
  - {name: tune, job: {finetune: {model: gpt2, data: questions, sequence_length: 384}}}
)",
                      others);
}

inline RunFigures FiguresOf(const std::string& text, const std::string& policy = "ours",
                            uint64_t seed = 1) {
  const auto scenario = Parse(text);
  EXPECT_THAT(scenario, IsOk());
  if (!scenario.ok()) {
    return {};
  }
  const auto figures = RunScenario(*scenario, policy, seed);
  EXPECT_THAT(figures, IsOk());
  if (figures.ok() && policy == "ours") {
    EXPECT_EQ((*figures)[Figure::kPlanBreaches], 0) << figures->plan_breach;
  }
  return figures.value_or(RunFigures());
}

// Runs a seed with a recording.
inline RunFigures RecordedRun(const std::string& text, uint64_t seed, Recording& recording) {
  const auto scenario = Parse(text);
  EXPECT_THAT(scenario, IsOk());
  const auto figures =
      scenario.ok() ? RunScenario(*scenario, "ours", seed, nullptr, &recording) : scenario.status();
  EXPECT_THAT(figures, IsOk());
  return figures.value_or(RunFigures());
}

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_SCENARIO_FOR_TEST_H_
