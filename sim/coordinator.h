// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The shell around the real core, in virtual time: decides at once, commits in batches, releases
// effects and answers after the commit, can lose what was not committed and replay the rest.
// Single-threaded.
#ifndef WATTLE_SIM_COORDINATOR_H_
#define WATTLE_SIM_COORDINATOR_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "coordinator/core/command.h"
#include "coordinator/core/core.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "sim/event_loop.h"
#include "sim/invariants.h"
#include "sim/options.h"
#include "sim/random.h"

namespace wattle::sim {

class Coordinator {
 public:
  using Answered = std::function<void(const core::Decision&)>;
  using Send = std::function<void(const DeviceId&, const v1::CoordinatorMessage&)>;

  // What looks on.
  struct Watch {
    Counts& counts;
    Invariants& invariants;
  };
  Coordinator(EventLoop& loop, Random& random, const Options& options, const Watch& watch,
              Send send);

  // `answered` is called when the decision is durable; never if a crash comes first.
  void Post(const core::Command& command, Answered answered);
  void SetConnected(const DeviceId& device, bool connected);
  void Seen(const DeviceId& device, const v1::Heartbeat* heartbeat);
  void Crash();
  void Restart();
  void JumpClock(double seconds) { clock_offset_seconds_ += seconds; }

  [[nodiscard]] bool alive() const { return alive_; }
  [[nodiscard]] int64_t life() const { return life_; }
  [[nodiscard]] const core::State& durable() const { return durable_; }

 private:
  struct Pending {
    core::Decision decision;
    std::vector<core::Effect> effects;
    Answered answered;
  };

  [[nodiscard]] core::Instant Now() const;
  // The real Decide, or with the mutant's bug around it.
  [[nodiscard]] core::Decision DecideOrMutate(const core::Command& command) const;
  void Commit();
  void CarryOut(const std::vector<core::Effect>& effects, const core::State& state);
  void Every(double interval_seconds, void (Coordinator::*action)());
  void Tick();
  void Plan();
  void CountEvent(const v1::Event& event);

  EventLoop& loop_;
  Random& random_;
  const Options& options_;
  Counts& counts_;
  Invariants& invariants_;
  Send send_;

  // On disk: the journal, as bytes, and a snapshot of some of it.
  std::vector<std::string> journal_;
  std::string snapshot_;
  int64_t snapshot_sequence_ = 0;
  // What replaying the journal gives, kept up to date; readers' view.
  core::State durable_;

  // In memory.
  bool alive_ = false;
  int64_t life_ = 0;
  core::State live_;
  core::Observations observations_;
  std::vector<Pending> pending_;
  bool commit_scheduled_ = false;
  double clock_offset_seconds_ = 0.0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_COORDINATOR_H_
