// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/options.h"

#include <algorithm>
#include <utility>

#include "sim/random.h"

namespace wattle::sim {
namespace {

struct FaultRow {
  Fault fault;
  const char* name;
  // Range of the mean seconds between two such faults in a dense world; 0: never.
  double low_seconds;
  double high_seconds;
};

constexpr FaultRow kRows[] = {
    {Fault::kCoordinatorCrash, "coordinator crash", 60.0, 600.0},
    {Fault::kCoordinatorPowerCut, "coordinator power cut", 60.0, 600.0},
    {Fault::kBackup, "backup", 100.0, 600.0},
    {Fault::kRestore, "restore", 400.0, 1600.0},
    {Fault::kCoordinatorDiskFull, "coordinator disk full", 200.0, 1200.0},
    {Fault::kCoordinatorClockStep, "coordinator clock step", 100.0, 900.0},
    {Fault::kCoordinatorStandstill, "coordinator standstill", 100.0, 900.0},
    {Fault::kArtifactEviction, "artifact eviction", 20.0, 200.0},
    {Fault::kWorkerCrash, "worker crash", 40.0, 400.0},
    {Fault::kWorkerPowerCut, "worker power cut", 40.0, 400.0},
    {Fault::kWorkerDiskLost, "worker disk lost", 300.0, 2000.0},
    {Fault::kWorkerDiskFull, "worker disk full", 100.0, 900.0},
    {Fault::kWorkerFileDamaged, "worker file damaged", 200.0, 1500.0},
    {Fault::kWorkerClockStep, "worker clock step", 100.0, 900.0},
    {Fault::kPartition, "partition", 30.0, 300.0},
    {Fault::kRunnerCrash, "runner crash", 40.0, 400.0},
    {Fault::kRunnerHang, "runner hang", 100.0, 900.0},
    {Fault::kGaugeSilent, "gauge silent", 100.0, 900.0},
    {Fault::kGaugeLies, "gauge lies", 300.0, 1500.0},
    {Fault::kSag, "sag", 50.0, 500.0},
    {Fault::kThermometerSilent, "thermometer silent", 100.0, 900.0},
    {Fault::kHeat, "heat", 100.0, 900.0},
    {Fault::kClouds, "clouds", 60.0, 600.0},
    {Fault::kEviction, "eviction", 100.0, 900.0},
    {Fault::kPolicyChange, "policy change", 60.0, 600.0},
    {Fault::kDrain, "drain", 60.0, 600.0},
    {Fault::kCancel, "cancel", 60.0, 600.0},
    {Fault::kGaugeStuck, "gauge stuck", 300.0, 1500.0},
    {Fault::kRailStuck, "rail stuck", 300.0, 1500.0},
    {Fault::kOwnerHold, "owner's hold", 100.0, 900.0},
    {Fault::kClockLate, "clock late", 100.0, 900.0},
    {Fault::kOtherLoad, "other load", 100.0, 900.0},
    {Fault::kWorkerDiskSick, "worker disk sick", 100.0, 900.0},
    {Fault::kRevocation, "revocation", 300.0, 1500.0},
    {Fault::kApproval, "approval", 200.0, 1500.0},
    {Fault::kCopiedCard, "copied card", 100.0, 900.0},
    {Fault::kCoordinatorYears, "coordinator clock of other years", 300.0, 1500.0},
    {Fault::kWorkerYears, "worker clock of other years", 300.0, 1500.0},
    {Fault::kUpgrade, "upgrade", 100.0, 600.0},
    {Fault::kRailGone, "rail gone", 200.0, 1500.0},
    {Fault::kRailAbsurd, "rail absurd", 200.0, 1500.0},
    {Fault::kRailFlaps, "rail flaps", 200.0, 1500.0},
    {Fault::kMonthsOffline, "months offline", 300.0, 1500.0},
    {Fault::kRootRotation, "root rotation", 60.0, 400.0},
    {Fault::kMove, "coordinator moves", 200.0, 1500.0},
    {Fault::kWeakSupply, "weak supply", 200.0, 1500.0},
    {Fault::kModeOfOwner, "owner's power mode", 60.0, 600.0},
    {Fault::kMemoryTaken, "memory taken", 100.0, 900.0},
    {Fault::kNarrowLink, "narrow link", 100.0, 900.0},
    {Fault::kLinkPolicy, "link policy", 60.0, 600.0},
};
// From here on each row has separate random numbers, so that a new row leaves the worlds of a seed
// unchanged except for its own fault.
constexpr Fault kFirstNewFault = Fault::kGaugeStuck;
static_assert(std::size(kRows) == kFaults, "every fault has its row");

// Share of worlds in which users profile boards.
constexpr double kProfilingWorlds = 0.5;
// Share of worlds with jobs that run apart.
constexpr double kAntiAffinityWorlds = 0.5;
// Share of worlds in which the boards' certificates can end.
constexpr double kCertificateWorlds = 0.5;
constexpr double kCertificateLifeDays = 30.0;
// Share of worlds with the real journal, which takes about ten times as long as the plain log.
constexpr double kSqliteWorlds = 0.1;
constexpr int kSparseBoards = 2000;
// Factor by which faults are rarer than in a slow world: for a board, and for the whole fleet.
constexpr double kSparseFaults = 10.0;
constexpr double kSparseFleetFaults = 4.0;
constexpr double kHour = 3600.0;
constexpr double kDay = 24.0 * kHour;

// A dense world has faults for half an hour, a slow world for three weeks. The faults per device
// and virtual day differ; the faults per job do not.
void MakeSlow(Random& random, Options& options) {
  options.devices = 8 + random.Below(9);
  options.jobs = 20 + random.Below(30);
  options.fault_seconds = 21.0 * kDay;
  options.end_seconds = 150.0 * kDay;
  options.step_seconds = random.Between(10.0, 60.0);
  options.job_steps_max = 60;
  // Devices are idle most of the time, so idle time dominates the cost of the simulation.
  options.heartbeat_seconds = random.Between(0.5 * kHour, kHour);
  options.ledger_seconds = random.Between(6.0 * kHour, 24.0 * kHour);
  options.idle_save_seconds = random.Between(6.0 * kHour, 12.0 * kHour);
  options.sample_seconds = 0.25 * options.step_seconds;
  options.day_seconds = kDay;
  options.tick_seconds = random.Between(60.0, 300.0);
  options.plan_seconds = random.Between(300.0, 1200.0);
  options.lease_seconds_min = 4.0 * kHour;
  options.lease_seconds_max = 3.0 * kDay;
  options.outage_seconds_max = random.Between(kHour, kDay);
  options.retention_seconds = random.Chance(0.5) ? 0.0 : random.Between(5.0 * kDay, 10.0 * kDay);
  options.loss = random.Chance(0.3) ? 0.0 : random.Between(0.00005, 0.001);
  const double stretch = options.fault_seconds / 1800.0;
  for (double& mean_seconds : options.mean_seconds) {
    mean_seconds *= stretch;
  }
}

}  // namespace

const char* FaultName(Fault fault) {
  return kRows[static_cast<size_t>(fault)].name;
}

absl::Time TrueTime(double now_seconds) {
  return absl::FromUnixSeconds(1'799'970'300) + absl::Seconds(now_seconds);
}

absl::Time ShownTime(double now_seconds, double off_seconds) {
  return std::max(absl::UnixEpoch(), TrueTime(now_seconds) + absl::Seconds(off_seconds));
}

Options DrawOptions(uint64_t seed, bool slow) {
  Random random(seed * 7919 + (slow ? 1 : 0));
  Options options;
  options.seed = seed;
  options.devices = 2 + random.Below(6);
  options.jobs = 8 + random.Below(20);
  options.loss = random.Chance(0.3) ? 0.0 : random.Between(0.0005, 0.01);
  options.duplication = random.Between(0.0, 0.3);
  options.delay_seconds_max = random.Between(0.01, 3.0);
  options.attempt_failure = random.Between(0.0, 0.2);
  options.step_seconds = random.Between(0.5, 6.0);
  options.job_steps_max = static_cast<int>(300.0 / options.step_seconds);
  for (const FaultRow& row : kRows) {
    Random own(seed * 7919 + 100 * static_cast<uint64_t>(row.fault));
    Random& draws = row.fault < kFirstNewFault ? random : own;
    options.mean_seconds[static_cast<size_t>(row.fault)] =
        draws.Chance(0.3) ? 0.0 : draws.Between(row.low_seconds, row.high_seconds);
  }
  // One world in three has restores, because after a restore fewer facts can be checked.
  if (random.Chance(0.67)) {
    options.mean_seconds[static_cast<size_t>(Fault::kRestore)] = 0.0;
  }
  Random profiles(seed * 7919 + 50);
  options.profile_jobs = profiles.Chance(kProfilingWorlds) ? profiles.Between(0.1, 0.35) : 0.0;
  Random apart(seed * 7919 + 70);
  options.apart = apart.Chance(kAntiAffinityWorlds) ? apart.Between(0.1, 0.5) : 0.0;
  Random certificates(seed * 7919 + 60);
  options.certificate_seconds =
      certificates.Chance(kCertificateWorlds)
          ? (slow ? kCertificateLifeDays * kDay : certificates.Between(300.0, 1200.0))
          : 0.0;
  options.sqlite_journal = random.Chance(slow ? 0.0 : kSqliteWorlds);
  options.other_kinds = random.Chance(0.2) ? 0.0 : random.Between(0.2, 0.6);
  options.deadlines = random.Chance(0.3) ? 0.0 : random.Between(0.1, 0.5);
  options.retention_seconds = random.Chance(0.5) ? 0.0 : random.Between(600.0, 1200.0);
  if (slow) {
    MakeSlow(random, options);
  }
  return options;
}

// Reduces everything with a cost per board and hour, including faults, so that a month takes
// minutes.
Options DrawSparseOptions(uint64_t seed) {
  Options options = DrawOptions(seed, /*slow=*/true);
  Random random(seed * 7919 + 2);
  const int boards =
      std::exchange(options.devices, kSparseBoards + random.Below(kSparseBoards / 4));
  options.jobs = 40 + random.Below(40);
  options.fault_seconds = 30.0 * kDay;
  options.end_seconds = 200.0 * kDay;
  options.step_seconds = random.Between(60.0, 300.0);
  options.job_steps_max = 40;
  options.heartbeat_seconds = random.Between(6.0 * kHour, 12.0 * kHour);
  options.ledger_seconds = random.Between(5.0 * kDay, 10.0 * kDay);
  options.idle_save_seconds = options.ledger_seconds;
  // A step takes minutes, and the guard needs a sample every 30 s (policy::kReadingAgeMax).
  options.sample_seconds = 10.0;
  options.tick_seconds = random.Between(600.0, 1800.0);
  // A plan for thousands of boards takes most of a second.
  options.plans_at_once = false;
  options.plan_seconds = random.Between(8.0 * kHour, 12.0 * kHour);
  options.lease_seconds_min = 2.0 * kDay;
  options.lease_seconds_max = 7.0 * kDay;
  options.outage_seconds_max = random.Between(0.5 * kDay, 2.0 * kDay);
  // All boards reconnect at once after each stop of the coordinator.
  for (size_t i = 0; i < kFaults; ++i) {
    const Fault fault = static_cast<Fault>(i);
    const bool of_fleet = fault <= Fault::kArtifactEviction || fault == Fault::kUpgrade ||
                          fault == Fault::kRootRotation || fault == Fault::kCoordinatorYears;
    options.mean_seconds[i] *=
        of_fleet ? kSparseFleetFaults : kSparseFaults * boards / options.devices;
  }
  return options;
}

void Counts::Add(const Counts& other) {
  for (size_t i = 0; i < kFaults; ++i) {
    faults[i] += other.faults[i];
  }
  events += other.events;
  commits += other.commits;
  lost_batches += other.lost_batches;
  broken_streams += other.broken_streams;
  duplicates += other.duplicates;
  expired_leases += other.expired_leases;
  adopted += other.adopted;
  late_receipts += other.late_receipts;
  guard_stops += other.guard_stops;
  rests += other.rests;
  whole_runs += other.whole_runs;
  resumed += other.resumed;
  moved += other.moved;
  past_deadline += other.past_deadline;
  archived += other.archived;
  evicted += other.evicted;
  returned += other.returned;
  snapshots += other.snapshots;
  sqlite_worlds += other.sqlite_worlds;
  empty_batteries += other.empty_batteries;
  succeeded_jobs += other.succeeded_jobs;
  failed_jobs += other.failed_jobs;
  cancelled_jobs += other.cancelled_jobs;
  probes += other.probes;
  profile_runs += other.profile_runs;
  device_changes += other.device_changes;
  upgrades += other.upgrades;
  went_back += other.went_back;
  renewed += other.renewed;
}

}  // namespace wattle::sim
