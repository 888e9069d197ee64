// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A simulated world as data: its size, its pace, its faults, and the bug that is put into the code
// on purpose. Drawn from a seed, so that no two worlds go wrong in the same way.
#ifndef WATTLE_SIM_OPTIONS_H_
#define WATTLE_SIM_OPTIONS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace wattle::sim {

// A fault happens to a device, a job or the coordinator, drawn at random.
enum class Fault {
  kCoordinatorCrash,     // the process ends, its disk keeps what was written
  kCoordinatorPowerCut,  // the disk loses what was not synced
  kBackup,               // a copy of the journal is made
  kRestore,              // the coordinator is replaced by its last backup
  kCoordinatorDiskFull,
  kCoordinatorClockStep,  // up to ten days, forward or back
  kArtifactEviction,      // the store wants room: some artifact that nothing needs goes
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
  kGaugeLies,  // reads far from the truth, as a worn gauge does
  kSag,        // one reading of an empty battery: the voltage dipped
  kThermometerSilent,
  kHeat,
  kClouds,
  kEviction,  // a device's cache is emptied
  kPolicyChange,
  kDrain,
  kCancel,
  kCount,
};
inline constexpr size_t kFaults = static_cast<size_t>(Fault::kCount);
const char* FaultName(Fault fault);

struct Options {
  uint64_t seed = 1;
  int devices = 6;
  int jobs = 24;
  // Faults happen until then; by end_seconds everything must have come to rest. Ends sooner when it
  // has.
  double fault_seconds = 1800.0;
  double end_seconds = 30000.0;

  // Pace. A dense world lives an hour in steps of a second, a slow one weeks in steps of minutes.
  double step_seconds = 1.0;  // of a runner, about
  int job_steps_max = 300;
  double heartbeat_seconds = 2.0;
  double ledger_seconds = 900.0;     // of a worker's report of its joules
  double idle_save_seconds = 300.0;  // of its record while nothing runs
  double sample_seconds = 0.5;       // of power, heat and charge while an attempt is held
  double day_seconds = 900.0;        // of the sun on the panels
  double tick_seconds = 1.0;
  double plan_seconds = 2.0;
  double lease_seconds_min = 15.0;
  double lease_seconds_max = 90.0;
  double outage_seconds_max = 60.0;  // of a machine, a link, a sensor
  double delay_seconds_max = 0.5;    // of a message

  // Of each message; the stream breaks with it, as a TCP connection does.
  double loss = 0.004;
  double duplication = 0.05;      // of a report, again after a while
  double attempt_failure = 0.08;  // of an attempt, by its own fault
  // What users ask for, as shares of all jobs.
  double other_kinds = 0.4;  // generate, evaluate, quantize; the rest are fine-tunes
  double deadlines = 0.2;
  // Ended jobs leave the state for the history after so long; 0: never.
  double retention_seconds = 0.0;
  // Mean seconds between two faults of a kind, in the whole world; 0: never.
  std::array<double, kFaults> mean_seconds{};

  bool sqlite_journal = false;  // the real journal on the simulated disk; else a plain log
  bool trace = false;           // every durable event and each worker's notes go to stderr
  std::string mutant;           // the fault point that is on; empty: none
};

// A world drawn from the seed. `slow`: weeks of a field instead of an hour of a lab.
Options DrawOptions(uint64_t seed, bool slow);

// The wall clock of the world: it begins a quarter of an hour before midnight UTC, so that a dense
// world sees two days.
absl::Time TrueTime(double now_seconds);

// How often each thing happened. A test asserts with these counts that its faults happened.
struct Counts {
  std::array<int64_t, kFaults> faults{};
  int64_t events = 0;
  int64_t commits = 0;
  int64_t lost_batches = 0;  // decided, not yet durable when the coordinator stopped
  int64_t broken_streams = 0;
  int64_t duplicates = 0;
  int64_t expired_leases = 0;
  int64_t adopted = 0;
  int64_t late_receipts = 0;
  int64_t guard_stops = 0;
  int64_t resumed = 0;        // attempts that went on from a step above 0
  int64_t moved = 0;          // paused attempts that were released to other devices
  int64_t past_deadline = 0;  // jobs that ended as failed because of it
  int64_t archived = 0;
  int64_t evicted = 0;  // artifacts
  int64_t snapshots = 0;
  int64_t sqlite_worlds = 0;
  int64_t empty_batteries = 0;
  int64_t succeeded_jobs = 0;
  int64_t failed_jobs = 0;
  int64_t cancelled_jobs = 0;

  void Add(const Counts& other);
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_OPTIONS_H_
