// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/rest_check.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "coordinator/core/upgrades.h"
#include "proto/job_kind.h"
#include "sim/runner.h"

namespace wattle::sim {
namespace {

constexpr double kEnergyTolerance = 1e-6;

// The jobs of the state and of the history.
std::vector<v1::Job> AllJobs(const Resting& world) {
  std::vector<v1::Job> jobs;
  for (const auto& [number, record] : world.coordinator.durable().jobs) {
    jobs.push_back(record.job());
  }
  for (const auto& [key, job] : world.coordinator.history()) {
    jobs.push_back(job);
  }
  return jobs;
}

void CheckJobs(const Resting& world, Invariants& invariants) {
  const core::State& state = world.coordinator.durable();
  for (const v1::Job& job : AllJobs(world)) {
    if (!IsTerminal(job.state())) {
      invariants.Break(absl::StrCat(job.job_id(), " is lost: ", v1::JobState_Name(job.state()),
                                    ", ", job.reason()));
    }
    // The runs of a profile job have no output.
    if (job.state() != v1::JOB_STATE_SUCCEEDED || KindOf(job.spec()).wraps_workload) {
      continue;
    }
    if (!state.artifacts.contains(ArtifactId(job.output_artifact_id())) &&
        !invariants.WasEvicted(job.output_artifact_id())) {
      invariants.Break(absl::StrCat(job.job_id(), ": its output is no artifact"));
    }
    if (job.output_artifact_id() != OutputId(absl::StrCat(ExpectedResult(job.spec())))) {
      invariants.Break(
          absl::StrCat(job.job_id(), ": its result differs from an undisturbed run's"));
    }
  }
}

// Bytes counted since the last save are lost with the process.
void CheckBytes(const Resting& world, const Worker& worker, Invariants& invariants) {
  int64_t receipts_bytes = 0;
  for (const v1::Job& job : AllJobs(world)) {
    for (const v1::Attempt& attempt : job.attempts()) {
      if (attempt.device_id() == worker.device_id()) {
        receipts_bytes += attempt.receipt().fetched_bytes() + attempt.receipt().uploaded_bytes();
      }
    }
  }
  if (receipts_bytes > worker.link_bytes()) {
    invariants.Break(absl::StrCat(worker.device_id(), ": its receipts have ", receipts_bytes,
                                  " bytes of artifacts, its link carried ", worker.link_bytes()));
  }
}

void CheckWorker(const Resting& world, Worker& worker, Invariants& invariants) {
  if (world.coordinator.restores() > 0 || worker.lost_something() ||
      invariants.HasUnbookedReceipts(worker.device_id())) {
    return;  // A lost disk took reports or receipts with it, so the two sums differ.
  }
  const core::State& state = world.coordinator.durable();
  double receipts_joules = 0.0;
  for (const v1::Job& job : AllJobs(world)) {
    for (const v1::Attempt& attempt : job.attempts()) {
      if (attempt.device_id() == worker.device_id()) {
        receipts_joules += attempt.receipt().total().gross_energy_joules();
      }
    }
  }
  const v1::DeviceRecord* record = core::FindDevice(state, DeviceId(worker.device_id()));
  const double ledger_joules = record == nullptr ? 0.0 : record->ledger().attempt_energy_joules();
  // A stop of the process loses the joules since the last save from both sums, because one write
  // contains the ledger and the receipts.
  if (std::abs(ledger_joules - receipts_joules) > kEnergyTolerance * (1.0 + ledger_joules)) {
    invariants.Break(absl::StrCat(worker.device_id(), ": the ledger has ", ledger_joules,
                                  " J of attempts, their receipts ", receipts_joules));
  }
}

// An upgrade waits for a board until the board returns or is removed. A board that lost its disk
// has become another device, so the old one never returns.
bool WaitsForTheLostAlone(const Resting& world, const v1::Upgrade& upgrade) {
  bool waits = false;
  for (const v1::DeviceUpgrade& device : upgrade.devices()) {
    if (device.state() != v1::DEVICE_UPGRADE_STATE_WAITING &&
        device.state() != v1::DEVICE_UPGRADE_STATE_ORDERED) {
      continue;
    }
    waits = true;
    for (const std::unique_ptr<Worker>& worker : world.workers) {
      if (worker->device_id() == device.device_id()) {
        return false;
      }
    }
  }
  return waits;
}

// The open upgrade with work left; null if there is none.
const v1::Upgrade* OpenUpgradeOf(const Resting& world) {
  const v1::Upgrade* const upgrade = core::OpenUpgrade(world.coordinator.durable());
  const bool goes_on = upgrade != nullptr && upgrade->state() == v1::UPGRADE_STATE_RUNNING &&
                       !WaitsForTheLostAlone(world, *upgrade);
  return goes_on ? upgrade : nullptr;
}

}  // namespace

bool IsAtRest(const Resting& world) {
  const Coordinator& coordinator = world.coordinator;
  return coordinator.alive() && coordinator.durable().open_jobs.empty() &&
         OpenUpgradeOf(world) == nullptr && world.users.all_answered() &&
         std::all_of(world.workers.begin(), world.workers.end(),
                     [](const auto& worker) { return worker->at_rest(); });
}

void CheckAtRest(const Resting& world, Invariants& invariants) {
  if (!world.coordinator.alive()) {
    invariants.Break("the coordinator does not come back");
    return;
  }
  if (!world.users.all_answered()) {
    invariants.Break("a user never got an answer");
  }
  CheckJobs(world, invariants);
  if (const v1::Upgrade* const upgrade = OpenUpgradeOf(world); upgrade != nullptr) {
    invariants.Break(absl::StrCat("upgrade ", upgrade->upgrade_id(), " to ", upgrade->version(),
                                  " does not end"));
  }
  for (const std::unique_ptr<Worker>& worker : world.workers) {
    if (!worker->at_rest()) {
      invariants.Break(
          absl::StrCat(worker->device_id(), " does not come to rest: ", worker->what_it_does()));
    }
    CheckWorker(world, *worker, invariants);
    CheckBytes(world, *worker, invariants);
  }
  invariants.CheckState(world.coordinator.durable());
}

}  // namespace wattle::sim
