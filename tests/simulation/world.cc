// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A fleet with users and faults, from start to rest.
#include "tests/simulation/world.h"

#include <algorithm>
#include <memory>

#include "sim/event_loop.h"
#include "sim/fleet.h"
#include "sim/random.h"
#include "tests/simulation/fault_points.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/liveness.h"
#include "tests/simulation/rest_check.h"
#include "tests/simulation/users.h"

namespace wattle::sim {
namespace {

class World {
 public:
  explicit World(const Options& options)
      : options_(options),
        random_(options.seed),
        fleet_({options_, random_, loop_, counts_}, {},
               [this](const std::string& id) { users_.RemoveDevice(DeviceId(id)); }),
        users_(loop_, random_, options_, fleet_.coordinator()),
        faults_({loop_, random_, options_, counts_, fleet_.network(), fleet_.addresses(),
                 fleet_.coordinator(), fleet_.workers(), users_, fleet_.certificates()}) {}

  Outcome Run() {
    TurnOnFaultPoint(options_.mutant);
    fleet_.Start({});
    users_.Start();
    faults_.Start();
    Invariants& invariants = fleet_.invariants();
    const auto broken = [&invariants] { return !invariants.breach().empty(); };
    loop_.RunUntil(options_.fault_seconds, broken);
    faults_.Stop();
    if (options_.liveness) {
      return RunHealthyPart(broken);
    }
    const Resting resting{fleet_.coordinator(), fleet_.workers(), users_};
    const double look_seconds = std::max(60.0, 2.0 * options_.heartbeat_seconds);
    while (loop_.now_seconds() < options_.end_seconds && !broken() && !IsAtRest(resting)) {
      loop_.RunUntil(loop_.now_seconds() + look_seconds, broken);
    }
    if (!broken()) {
      CheckAtRest(resting, invariants);
      fleet_.coordinator().CheckHistory();
    }
    return End();
  }

 private:
  template <typename Broken>
  Outcome RunHealthyPart(const Broken& broken) {
    Invariants& invariants = fleet_.invariants();
    Liveness liveness({loop_, options_, fleet_.coordinator(), fleet_.workers()});
    liveness.Begin();
    const double look_seconds = std::max(10.0, 2.0 * options_.heartbeat_seconds);
    while (loop_.now_seconds() < liveness.UntilSeconds() && !broken() &&
           !(liveness.done() && users_.all_answered())) {
      loop_.RunUntil(loop_.now_seconds() + look_seconds, broken);
    }
    if (!broken()) {
      liveness.Check(invariants);
      invariants.CheckState(fleet_.coordinator().durable());
    }
    return End();
  }

  Outcome End() {
    Outcome outcome;
    const Invariants& invariants = fleet_.invariants();
    outcome.breach = invariants.breach();
    outcome.counts = counts_;
    outcome.counts.probes = invariants.learning().probes();
    outcome.counts.profile_runs = invariants.learning().profile_runs();
    outcome.counts.device_changes = invariants.learning().device_changes();
    outcome.counts.upgrades = invariants.upgrades().ended();
    outcome.counts.went_back = invariants.upgrades().rolled_back();
    outcome.counts.renewed = fleet_.certificates().renewed();
    outcome.steps = loop_.steps();
    outcome.virtual_seconds = loop_.now_seconds();
    for (const std::unique_ptr<Worker>& worker : fleet_.workers()) {
      worker->AdvanceBoard();
      outcome.device_seconds += worker->board().powered_seconds();
    }
    outcome.fingerprint = invariants.chain();
    TurnOnFaultPoint("");
    return outcome;
  }

  const Options options_;
  Random random_;
  EventLoop loop_;
  Counts counts_;
  Fleet fleet_;
  Users users_;
  Faults faults_;
};

}  // namespace

Outcome RunWorld(const Options& options) {
  return World(options).Run();
}

}  // namespace wattle::sim
