// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A simulated wattle-runner: the frames of a real one, with a chain of hashes for an engine. Each
// step mixes the weights with numbers drawn from a counter; a checkpoint holds step, counter and
// weights, on the worker's disk. So the result of a job follows from its spec alone, however often
// the run was interrupted, and a resume that repeats, skips or forgets anything gives another one.
// Fine-tunes have checkpoints; generate, evaluate and quantize begin anew.
// Single-threaded.
#ifndef WATTLE_SIM_RUNNER_H_
#define WATTLE_SIM_RUNNER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/event_loop.h"
#include "sim/random.h"
#include "wattle/v1/runner.pb.h"
#include "worker/agent/storage/disk.h"

namespace wattle::sim {

// The result of the spec's run without interruption, and the number of its steps.
uint64_t ExpectedResult(const v1::JobSpec& spec);
int64_t StepsOf(const v1::JobSpec& spec);
// Where the runner keeps the state after a step.
std::string CheckpointFile(const std::string& work_directory, int64_t step);

class Runner {
 public:
  struct Port {
    std::function<void(const v1::RunnerFrame&)> on_frame;
    // clean: it left by itself with exit code 0. After it the runner says no more.
    std::function<void(bool clean)> on_exit;
    std::function<void(bool working)> set_working;  // the board's load
  };
  struct Settings {
    double step_seconds = 1.0;
    bool fails = false;  // of its own fault, at some step
  };
  Runner(EventLoop& loop, Random& random, agent::Disk& disk, const Settings& settings, Port port);
  ~Runner();  // nothing is called any more
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void Start(const v1::RunnerTask& task);
  void Command(const v1::RunnerCommand& command);
  void Kill();   // its exit follows
  void Crash();  // by itself
  void Hang();   // silent until it is killed

  [[nodiscard]] bool running() const { return running_; }
  [[nodiscard]] bool hung() const { return hung_; }
  [[nodiscard]] uint64_t weights() const { return weights_; }
  [[nodiscard]] const std::string& output_directory() const { return task_.output_directory(); }

 private:
  void After(double seconds, void (Runner::*action)());
  void Load();
  void Step();
  void StepDone();
  void SaveCheckpoint();
  void Finish();
  void Exit(bool clean);
  void Phase(const std::string& phase);
  // Newest first.
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
  bool waits_ = false;  // at its gate
  bool stop_ = false;
  bool discard_ = false;
  int64_t step_ = 0;
  int64_t steps_total_ = 0;
  int64_t fails_at_ = -1;
  uint64_t counter_ = 0;
  uint64_t weights_ = 0;
  // Outlived by the loop's actions, which look whether the runner is still there.
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_RUNNER_H_
