// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Makes the faults of a world happen (sim/options.h), each at times drawn from the seed, and takes
// them back: a full disk gets room, a clock is set right, a partition heals. Single-threaded.
#ifndef WATTLE_SIM_FAULTS_H_
#define WATTLE_SIM_FAULTS_H_

#include <functional>
#include <memory>
#include <vector>

#include "sim/coordinator.h"
#include "sim/event_loop.h"
#include "sim/network.h"
#include "sim/options.h"
#include "sim/random.h"
#include "sim/users.h"
#include "sim/worker.h"

namespace wattle::sim {

// The parts of a world; all outlive the injector.
struct Parts {
  EventLoop& loop;
  Random& random;
  const Options& options;
  Counts& counts;
  Network& network;
  Coordinator& coordinator;
  std::vector<std::unique_ptr<Worker>>& workers;
  Users& users;
};

class Faults {
 public:
  explicit Faults(const Parts& parts) : parts_(parts) {}

  void Start();
  // No fault happens any more, and what is broken is mended.
  void Stop();

 private:
  void Repeat(Fault fault);
  bool Happen(Fault fault);  // false: it found nothing to break
  bool HappenToCoordinator(Fault fault);
  bool HappenToWorker(Fault fault);
  bool StopCoordinator(bool power_cut);
  bool StopWorker(bool power_cut, bool disk_lost);
  int AnyDevice() { return parts_.random.Below(parts_.options.devices); }
  Worker& AnyWorker() { return *parts_.workers[static_cast<size_t>(AnyDevice())]; }
  [[nodiscard]] double Outage() {
    return parts_.random.Between(0.5, parts_.options.outage_seconds_max);
  }
  // Does it, and takes it back after an outage or when the faults stop.
  void For(double seconds, const std::function<void(bool on)>& set);

  Parts parts_;
  bool on_ = true;
  std::vector<std::function<void()>> mends_;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_FAULTS_H_
