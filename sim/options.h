// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A simulated world as data: its size, its faults, and the bug that is put into it on purpose.
#ifndef WATTLE_SIM_OPTIONS_H_
#define WATTLE_SIM_OPTIONS_H_

#include <cstdint>

namespace wattle::sim {

// Bugs of the kind that the invariants are there to catch; each lives in the simulated worker or in
// the simulated shell around the core, never in the core.
enum class Mutant {
  kNone,
  kAcknowledgementDropped,  // acknowledgements never reach the workers
  kTokenForgotten,          // a result with an old token is committed although the job has ended
  kHighWaterMarkForgotten,  // a repeated report is applied again
  kEffectsBeforeCommit,     // effects are released before their events are durable
  kStoppedEnergyForgotten,  // a stopped attempt's joules are missing in its receipt
  kStopIgnored,             // a worker goes on with what it should stop
  kStateNotReplayable,      // live state is changed beside the events
  kRequeueForgotten,        // an expired lease does not bring the job back into the queue
};

struct Options {
  uint64_t seed = 1;
  int workers = 6;
  int jobs = 24;
  double fault_seconds = 1800.0;  // faults happen until then
  double end_seconds =
      9000.0;  // by then everything must have come to rest; ends sooner when it has

  // Of each message; the stream breaks with it, as a TCP connection does.
  double loss = 0.004;
  double duplication = 0.05;  // of a report, again after a while
  double delay_seconds_max = 0.5;
  // Mean seconds between faults, of the whole world; 0: never.
  double coordinator_crash_seconds = 150.0;
  double worker_crash_seconds = 90.0;
  double disk_loss_seconds = 900.0;  // a worker comes back with an empty spool
  double partition_seconds = 120.0;
  double clock_jump_seconds = 400.0;
  double drain_seconds = 300.0;
  double cancel_seconds = 200.0;
  double attempt_failure = 0.08;  // of an attempt, by its own fault
  Mutant mutant = Mutant::kNone;
};

// What happened, so that a test can tell that its faults did.
struct Counts {
  int64_t events = 0;
  int64_t commits = 0;
  int64_t coordinator_crashes = 0;
  int64_t lost_batches = 0;  // decided, not yet durable when the coordinator crashed
  int64_t worker_crashes = 0;
  int64_t lost_disks = 0;
  int64_t broken_streams = 0;
  int64_t duplicates = 0;
  int64_t expired_leases = 0;
  int64_t adopted = 0;
  int64_t late_receipts = 0;
  int64_t drained_attempts = 0;
  int64_t cancelled_jobs = 0;
  int64_t succeeded_jobs = 0;
  int64_t failed_jobs = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_OPTIONS_H_
