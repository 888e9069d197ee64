// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A simulated wattle-runner: it sends the frames of a real runner, with a chain of hashes as its
// engine. Each step mixes the weights with numbers drawn from a counter. A checkpoint on the
// worker's disk has the step, the counter and the weights. The result of a job therefore depends
// only on its spec, however often the run was interrupted; a resume that repeats, skips or forgets
// anything gives another result. Jobs of kinds without checkpoints start from the beginning.
// A scenario's jobs run by a Workload (machine.h): the same chain with the steps, times and watts
// of a job on that board. Single-threaded.
#ifndef WATTLE_SIM_RUNNER_H_
#define WATTLE_SIM_RUNNER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/event_loop.h"
#include "sim/machine.h"
#include "sim/random.h"
#include "units/quantity.h"
#include "wattle/v1/runner.pb.h"
#include "worker/agent/storage/disk.h"

namespace wattle::sim {

// The model that the users of a drawn world push. By the datasheet, a step of it takes a board of
// four cores about as long as the simulated step takes in truth, so that predictions have the right
// size.
inline constexpr int kModelLayers = 6;
inline constexpr int kModelWidth = 384;
inline constexpr int kModelHeads = 6;
inline constexpr int64_t kModelParameters = 10'900'000;

// The result of an uninterrupted run of the spec, and the number of its steps.
uint64_t ExpectedResult(const v1::JobSpec& spec);
int64_t StepsOf(const v1::JobSpec& spec);
// The file of the checkpoint at a step.
std::string CheckpointFile(const std::string& work_directory, int64_t step);

class Runner {
 public:
  struct Port {
    std::function<void(const v1::RunnerFrame&)> on_frame;
    // clean: the runner exited by itself with code 0. The runner sends nothing after its exit.
    std::function<void(bool clean)> on_exit;
    std::function<void(bool working)> set_working;  // the board's load
    std::function<void(Watts power)> set_power{};   // of the load; only with a workload
  };
  struct Settings {
    double step_seconds = 1.0;
    bool fails = false;                   // the run fails by its own fault at some step
    std::function<double()> slower_by{};  // factor of each step's seconds; null: 1
    std::string engine{};                 // its version
    // For a scenario's job, whose steps have their own time; nothing is drawn then.
    std::optional<Workload> workload{};
  };
  Runner(EventLoop& loop, Random& random, agent::Disk& disk, const Settings& settings, Port port);
  ~Runner();  // calls no callback afterwards
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void Start(const v1::RunnerTask& task);
  void Command(const v1::RunnerCommand& command);
  void Kill();   // the exit follows
  void Crash();  // the runner ends by itself
  void Hang();   // the runner is silent until it is killed

  [[nodiscard]] bool running() const { return running_; }
  [[nodiscard]] bool hung() const { return hung_; }
  [[nodiscard]] uint64_t weights() const { return weights_; }
  [[nodiscard]] const std::string& output_directory() const { return task_.output_directory(); }

 private:
  void After(double seconds, void (Runner::*action)());
  [[nodiscard]] int64_t StepsUntilNextFrame() const;
  bool TakeCheckpointDue();  // consumes an order of the agent
  void Load();
  void Step();
  void StepDone();
  void SaveCheckpoint();
  void Finish();
  // The work done by a drawn job.
  [[nodiscard]] v1::WorkDone SmallWork() const;
  void Exit(bool clean);
  void Phase(const std::string& phase);
  // The steps of the checkpoints on disk, newest first.
  [[nodiscard]] std::vector<int64_t> CheckpointSteps() const;
  bool Restore(const std::string& text);

  EventLoop& loop_;
  Random& random_;
  agent::Disk& disk_;
  const Settings settings_;
  Port port_;
  v1::RunnerTask task_;
  std::string phase_;
  bool running_ = false;
  bool hung_ = false;
  bool waits_ = false;  // the runner waits at its gate
  bool checkpoint_ordered_ = false;
  bool stop_ = false;
  bool discard_ = false;
  int64_t step_ = 0;
  int64_t steps_total_ = 0;
  int64_t steps_under_way_ = 1;
  int64_t fails_at_ = -1;
  uint64_t counter_ = 0;
  uint64_t weights_ = 0;
  // Actions of the loop may outlive the runner, so they check this pointer first.
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_RUNNER_H_
