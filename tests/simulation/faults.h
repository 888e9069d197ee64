// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Causes the faults of a world (sim/options.h) at times that are drawn from the seed, and ends them
// again: a full disk gets room, a clock is set right, a partition heals. Single-threaded.
#ifndef WATTLE_TESTS_SIMULATION_FAULTS_H_
#define WATTLE_TESTS_SIMULATION_FAULTS_H_

#include <functional>
#include <memory>
#include <vector>

#include "sim/addresses.h"
#include "sim/certificates.h"
#include "sim/coordinator.h"
#include "sim/event_loop.h"
#include "sim/network.h"
#include "sim/options.h"
#include "sim/random.h"
#include "sim/worker.h"
#include "tests/simulation/access_operator.h"
#include "tests/simulation/upgrade_operator.h"
#include "tests/simulation/users.h"

namespace wattle::sim {

// The parts of a world. All must outlive the injector.
struct Parts {
  EventLoop& loop;
  Random& random;
  const Options& options;
  Counts& counts;
  Network& network;
  Addresses& addresses;
  Coordinator& coordinator;
  std::vector<std::unique_ptr<Worker>>& workers;
  Users& users;
  Certificates& certificates;
};

class Faults {
 public:
  explicit Faults(const Parts& parts)
      : parts_(parts),
        letting_in_({parts.loop, parts.network, parts.coordinator, parts.certificates}),
        upgrading_(parts.random, parts.coordinator) {}

  void Start();
  // Ends all faults and repairs everything.
  void Stop();

 private:
  void Repeat(Fault fault);
  bool Inject(Fault fault);  // false: there is nothing to break
  bool InjectCoordinatorFault(Fault fault);
  bool InjectWorkerFault(Fault fault);
  bool StopCoordinator(ProcessStop how);
  bool MoveCoordinator();
  bool LetCoordinatorStandStill();
  enum class WorkerStop { kCrash, kPowerCut, kDiskLost };
  bool StopWorker(WorkerStop how);
  bool LoseTime(Worker& worker);
  bool ShutOut(Worker& worker, Fault fault);
  bool HarmRail(Board::SensorFaults& sensors, Fault fault);
  bool BeAwayForMonths(Worker& worker);
  bool Narrow(Worker& worker);
  // Delay of the clock: if possible one that makes a closed window look open.
  double LateSeconds(const Worker& worker);
  int AnyDevice() { return parts_.random.Below(parts_.options.devices); }
  Worker& AnyWorker() { return *parts_.workers[static_cast<size_t>(AnyDevice())]; }
  [[nodiscard]] double Outage() {
    return parts_.random.Between(0.5, parts_.options.outage_seconds_max);
  }
  // Calls set(true), and later set(false), after this time or when the faults stop.
  void For(double seconds, const std::function<void(bool on)>& set);

  Parts parts_;
  LettingIn letting_in_;
  Upgrading upgrading_;
  bool on_ = true;
  std::vector<std::function<void()>> mends_;
};

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_FAULTS_H_
