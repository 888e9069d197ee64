// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/fault_points.h"

#include "base/fault_point.h"

namespace wattle {
namespace {

// Mean time between two faults that a mutant needs.
constexpr double kOftenSeconds = 120.0;

// One world runs at a time, on one thread.
std::string g_on;
int64_t g_hits = 0;

}  // namespace

bool FaultPointIsOn(const char* name) {
  if (g_on != name) {
    return false;
  }
  ++g_hits;
  return true;
}

namespace sim {

void TurnOnFaultPoint(const std::string& name) {
  g_on = name;
  g_hits = 0;
}

int64_t FaultPointHits() {
  return g_hits;
}

// NOLINTNEXTLINE(readability-function-size): a row for each
const std::vector<MutantRow>& Mutants() {
  static const auto* const kMutants = new std::vector<MutantRow>{
      {"token check", "a result is taken although its attempt was replaced"},
      {"high-water mark", "a repeated report is applied again"},
      {"acknowledgement", "reports are never acknowledged"},
      {"journal fsync", "the journal tells a batch to be durable before the disk has it"},
      {"SQLite's fsync", "the real journal tells a batch to be durable before the disk has it",
       true},
      {"eviction", "an artifact goes although an open job needs it"},
      {"history row", "the history lacks an ended job that left the state", true},
      {"copy mark", "a backup of the real journal does not say that it is a copy", true},
      {"epoch", "a restored copy of the journal goes on under the same epoch"},
      {"spool fsync", "a report is sent before it is on the worker's disk"},
      {"random counter on resume", "a resumed run draws its random numbers from the beginning"},
      {"guard margin", "the guard stops work at the reserve, not above it"},
      {"daily budget", "the guard forgets the day's energy budget", false, Fault::kPolicyChange},
      {"work window", "the guard lets work run at any time of day", false, Fault::kPolicyChange},
      {"stay alive", "the guard keeps the reserve alone, not what the board needs to stay alive",
       false, Fault::kPolicyChange},
      {"deadline", "a job that is past its deadline does not fail"},
      {"pause limit", "a paused attempt holds its job for as long as it is paused"},
      {"archiving", "ended jobs never leave for the history"},
      {"archived results", "an ended job goes to the history without its attempts"},
      {"stopped energy", "a stopped attempt's joules are missing in its receipt"},
      {"measured attempts", "a receipt lacks what the ledger got before the power failed"},
      {"standstill", "a coordinator that stood still takes that time for its devices' silence"},
      {"time of the welcome", "a worker ignores the coordinator's time and believes its own clock",
       false, Fault::kClockLate},
      {"lease of the worker", "a worker goes on without contact when its lease has ended"},
      {"probe's joules", "what probes draw for nothing leaves the device's share of a day whole"},
      {"profile budget", "a profile job goes on beyond its budget"},
      {"mode after a run", "a board keeps the power mode that a profile job set"},
      {"measured before published", "a published row predicts what the device has measured"},
      {"emulated rows", "rows of emulated boards serve real ones"},
      {"rows before a change", "runs from before a device's change count in its rows"},
      {"interval of the mean", "a prediction states the interval of the mean, not of a run"},
      {"score of the future", "a receipt is scored against a prediction that knows it"},
      {"queue of one", "without contact a worker begins none of the attempts that wait on it"},
      {"queued token shared", "an attempt that waits on a device has the token of another one"},
      {"hold lost at restart", "a restart of the worker forgets that the owner holds the board",
       false, Fault::kOwnerHold},
      {"NoteDisk alone", "a sick disk is noticed only by a record that it refuses", false,
       Fault::kWorkerDiskSick},
      {"contended run", "a run beside other programs moves its device's row"},
      {"lease of the dead", "the job of a board that never comes back waits for it", false,
       Fault::kCount, true},
      {"work for the revoked", "a board that was revoked gets work while it looks connected", false,
       Fault::kRevocation},
      {"expired certificate", "a board whose certificate ended is let in and given work", false,
       Fault::kMonthsOffline},
      {"left under the old root", "a root is retired while boards are under it", false,
       Fault::kRootRotation},
      {"roll-backs of a stage", "an upgrade goes on though two boards of a stage went back", false,
       Fault::kUpgrade},
      {"self-test of a release", "a release stays whose self-test failed", false, Fault::kUpgrade},
      {"equal value trusted", "a rail that stands still is believed", false, Fault::kRailStuck},
      {"absurd watts", "a rail is believed that tells more than any board draws", false,
       Fault::kRailAbsurd},
      {"silence is measured", "the time in which a rail was gone counts as measured", false,
       Fault::kRailGone},
      {"apart", "a job runs on the board of another one of its group"},
      {"weak supply", "work goes on while the board's supply is too weak", false,
       Fault::kWeakSupply},
      {"stranger", "a worker takes up the journal of a stranger at its coordinator's old address",
       false, Fault::kMove},
      {"mode of the owner", "a worker goes on with the mode that its owner left", false,
       Fault::kModeOfOwner},
      {"memory of others", "work goes on while all programs wait for memory", false,
       Fault::kMemoryTaken},
      {"link window", "artifacts cross a link at any time of day", false, Fault::kLinkPolicy},
      {"link bytes", "artifacts cross a link whatever a policy allows in a day", false,
       Fault::kLinkPolicy},
      {"bytes of the last try", "an upload's receipt counts what earlier tries moved once more",
       false, Fault::kNarrowLink},
      {"gap filled",
       "the last power of a rail that is away counts, and its counter counts it again", false,
       Fault::kRailFlaps},
  };
  return *kMutants;
}

void AddMutant(const std::string& name, Options& options) {
  options.mutant = name;
  for (const MutantRow& mutant : Mutants()) {
    options.sqlite_journal |= mutant.in_real_journal && name == mutant.name;
    options.liveness |= mutant.in_liveness && name == mutant.name;
    if (name == mutant.name && mutant.often != Fault::kCount) {
      options.mean_seconds[static_cast<size_t>(mutant.often)] = kOftenSeconds;
    }
  }
}

}  // namespace sim
}  // namespace wattle
