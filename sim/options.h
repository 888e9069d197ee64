// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A simulated world as data: its size, its pace, its faults, and its mutant. The options are drawn
// from a seed, so that worlds fail in different ways.
#ifndef WATTLE_SIM_OPTIONS_H_
#define WATTLE_SIM_OPTIONS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace wattle::sim {

// How a process stops. A power cut stops its machine too.
enum class ProcessStop { kCrash, kPowerCut };

// A fault of a device, a job or the coordinator, drawn at random.
enum class Fault {
  kCoordinatorCrash,     // the process ends, its disk keeps what was written
  kCoordinatorPowerCut,  // the disk loses what was not synced
  kBackup,               // a copy of the journal is made
  kRestore,              // the coordinator is replaced by its last backup
  kCoordinatorDiskFull,
  kCoordinatorClockStep,   // up to ten days, forward or back
  kCoordinatorStandstill,  // the process does nothing for a while, then continues
  kArtifactEviction,       // the store needs room and drops an unneeded artifact
  kWorkerCrash,
  kWorkerPowerCut,
  kWorkerDiskLost,  // the card is replaced by an empty one
  kWorkerDiskFull,
  kWorkerFileDamaged,
  kWorkerClockStep,
  kPartition,
  kRunnerCrash,
  kRunnerHang,
  kGaugeSilent,
  kGaugeLies,  // reads far from the truth, like a worn gauge
  kSag,        // one reading of an empty battery: the voltage dipped
  kThermometerSilent,
  kHeat,
  kClouds,
  kEviction,  // a device's cache is emptied
  kPolicyChange,
  kDrain,
  kCancel,
  kGaugeStuck,  // repeats its last value
  kRailStuck,
  kOwnerHold,         // the board's owner reserves it for a while, and sometimes releases it sooner
  kClockLate,         // the power fails, and the clock is late afterwards, without a time service
  kOtherLoad,         // other programs keep the board's cores busy
  kWorkerDiskSick,    // it turns read-only, answers with errors, or takes 5 s for a write
  kRevocation,        // a board is revoked, and enrols with a new key later
  kApproval,          // a board enrols again by a token that needs an approval, which comes later
  kCopiedCard,        // two boards with one certificate, until the operator approves one
  kCoordinatorYears,  // its clock steps up to 40 years, forward or back
  kWorkerYears,
  kUpgrade,        // a step of an upgrade of the fleet by stages; half of the releases are bad
  kRailGone,       // is silent
  kRailAbsurd,     // reads more than any board draws
  kRailFlaps,      // comes and goes twice a second
  kMonthsOffline,  // a board is away, and its certificate ages by 13 months
  kRootRotation,   // a new root signs, or the old one is retired once unused
  kMove,           // the coordinator moves to another address
  kWeakSupply,     // a board's supply reports too low a voltage
  kModeOfOwner,    // the owner of a board sets another power mode
  kMemoryTaken,    // other programs take a board's memory, and all wait for memory half of the time
  kNarrowLink,     // few bytes a second, a long round trip, and at times contact now and then
  kLinkPolicy,     // a policy limits when artifacts may cross links, and how many bytes in a day
  kCount,
};
inline constexpr size_t kFaults = static_cast<size_t>(Fault::kCount);
const char* FaultName(Fault fault);

struct Options {
  uint64_t seed = 1;
  int devices = 6;
  int jobs = 24;
  // Faults occur until fault_seconds. Everything must be at rest by end_seconds; the world ends as
  // soon as it is.
  double fault_seconds = 1800.0;
  double end_seconds = 30000.0;

  // The pace. A dense world lives an hour in steps of a second, a slow world weeks in steps of
  // minutes.
  double step_seconds = 1.0;  // mean duration of a runner's step
  int job_steps_max = 300;
  double heartbeat_seconds = 2.0;
  double ledger_seconds = 900.0;     // between a worker's reports of its joules
  double idle_save_seconds = 300.0;  // between saves of the worker's record while idle
  double sample_seconds = 0.5;       // between samples while an attempt is held
  double day_seconds = 900.0;        // length of a day
  double tick_seconds = 1.0;
  double plan_seconds = 2.0;
  bool plans_at_once = true;  // also between two such times, if the queue or the boards change
  double lease_seconds_min = 15.0;
  double lease_seconds_max = 90.0;
  double outage_seconds_max = 60.0;  // outage of a machine, a link, a sensor
  double delay_seconds_max = 0.5;    // of a message

  // Probability for each message. The stream breaks with the message, as a TCP connection does.
  double loss = 0.004;
  double duplication = 0.05;      // probability that a report is sent again later
  double attempt_failure = 0.08;  // probability that an attempt fails by its own fault
  // The users' requests, as shares of all jobs:
  double other_kinds = 0.4;  // generate, evaluate, quantize; the rest are fine-tunes
  double deadlines = 0.2;
  double apart = 0.0;  // share of pairs that may not share a board
  double profile_jobs = 0.0;
  // Life of a board's certificate; 0: certificates never end.
  double certificate_seconds = 0.0;
  // Ended jobs move to the history after this time; 0: never.
  double retention_seconds = 0.0;
  // Mean seconds between two faults of a kind in the whole world; 0: never.
  std::array<double, kFaults> mean_seconds{};

  // After the faults only some boards live on, and must finish in time
  // (tests/simulation/liveness.h).
  bool liveness = false;
  bool sqlite_journal = false;  // the real journal on the simulated disk; else a plain log
  bool trace = false;           // every durable event and each worker's notes go to stderr
  std::string mutant;           // the active fault point; empty: none
};

// Draws a world from the seed. `slow`: weeks in the field instead of an hour in a lab.
Options DrawOptions(uint64_t seed, bool slow);
// A month of thousands of boards, which are silent most of the time and get few jobs.
Options DrawSparseOptions(uint64_t seed);

// The start of the world's wall clock: a quarter of an hour before midnight UTC, so that a dense
// world sees two days.
absl::Time TrueTime(double now_seconds);
// Reading of a clock that is off by this much. Linux refuses times before 1970.
absl::Time ShownTime(double now_seconds, double off_seconds);

// Number of times that each thing happened. Tests use these counts to prove that faults occurred.
struct Counts {
  std::array<int64_t, kFaults> faults{};
  int64_t events = 0;
  int64_t commits = 0;
  int64_t lost_batches = 0;  // decided but not durable when the coordinator stopped
  int64_t broken_streams = 0;
  int64_t duplicates = 0;
  int64_t expired_leases = 0;
  int64_t adopted = 0;
  int64_t late_receipts = 0;
  int64_t guard_stops = 0;    // without rests
  int64_t rests = 0;          // pauses of runs that were planned with rests at the reserve
  int64_t whole_runs = 0;     // finished runs that were planned without rests
  int64_t resumed = 0;        // attempts that resumed above step 0
  int64_t moved = 0;          // paused attempts that were released to other devices
  int64_t past_deadline = 0;  // jobs that failed by their deadline
  int64_t archived = 0;
  int64_t evicted = 0;   // artifacts
  int64_t returned = 0;  // results that a restored coordinator accepted again
  int64_t snapshots = 0;
  int64_t sqlite_worlds = 0;
  int64_t empty_batteries = 0;
  int64_t succeeded_jobs = 0;
  int64_t failed_jobs = 0;
  int64_t cancelled_jobs = 0;
  int64_t probes = 0;          // attempts that began as a probe
  int64_t profile_runs = 0;    // finished
  int64_t device_changes = 0;  // found by the coordinator
  int64_t upgrades = 0;        // finished
  int64_t went_back = 0;       // boards that rolled back an upgrade
  int64_t renewed = 0;         // certificates

  void Add(const Counts& other);
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_OPTIONS_H_
