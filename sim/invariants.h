// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The invariants that hold after every event, whatever the faults. Each event updates them, so that
// the cost of an event does not depend on the size of the world; CheckState walks a whole state and
// is for samples. The first breach is kept as a sentence. Single-threaded.
#ifndef WATTLE_SIM_INVARIANTS_H_
#define WATTLE_SIM_INVARIANTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "coordinator/core/state.h"
#include "sim/learning_watch.h"
#include "sim/upgrade_watch.h"
#include "units/quantity.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::sim {

// The truth about the world, which the system cannot see and the invariants compare with.
class Truth {
 public:
  virtual ~Truth() = default;
  // Seconds since the coordinator's process last received a message of the device, or since the
  // process's start if it never did.
  [[nodiscard]] virtual double SilenceSeconds(const std::string& device_id) const = 0;
  // All joules that the device has drawn since the world began.
  [[nodiscard]] virtual Joules Drawn(const std::string& device_id) const = 0;
  // Why the coordinator should not have admitted the device; "": there is no reason.
  [[nodiscard]] virtual std::string WhyNoWork(const std::string& device_id) const = 0;
  // Power of its work in its modes; absent if it depends on the work or is unknown.
  struct WorkPower {
    Watts low;
    Watts high;
  };
  [[nodiscard]] virtual std::optional<WorkPower> WorkPowerOf(
      const std::string& device_id) const = 0;
};

class Invariants {
 public:
  // trace: prints every durable event to stderr, for debugging.
  Invariants(const Truth& truth, bool trace) : truth_(truth), trace_(trace) {}

  // The events of a decision, at the moment of the decision.
  void OnDecided(const std::vector<v1::Event>& events);
  // One durable batch of events, in order.
  void OnDurable(const std::vector<v1::Event>& events);
  // An event that a starting process reads from the journal. Its hash chain must equal that of the
  // live events.
  void OnReplayed(const v1::Event& event);
  // A worker dropped its reports up to and including this one, so they must be durable.
  void OnAcknowledged(const std::string& device_id, int64_t incarnation, int64_t sequence);
  // Checks that every job is in one state and every index is right. Walks the whole state.
  void CheckState(const core::State& state);

  // Remember takes a backup; GoBackTo replaces the coordinator's journal with it. The journal then
  // lacks the events after the backup, but the job ids and tokens given out after it stay given
  // out.
  struct Past;
  [[nodiscard]] Past Remember() const;
  void GoBackTo(const Past& past);

  void Break(const std::string& what);
  [[nodiscard]] const std::string& breach() const { return breach_; }
  [[nodiscard]] uint64_t chain() const { return last_chain_; }
  [[nodiscard]] int64_t last_sequence() const { return model_.last_sequence; }
  [[nodiscard]] const LearningWatch& learning() const { return model_.learning; }
  [[nodiscard]] const UpgradeWatch& upgrades() const { return model_.upgrades; }
  // Whether an event removed the artifact from the store.
  [[nodiscard]] bool WasEvicted(const std::string& artifact_id) const {
    return model_.evicted.contains(artifact_id);
  }
  // Whether a receipt of the device came after its job had moved to the history. Only the device's
  // ledger then has its joules.
  [[nodiscard]] bool HasUnbookedReceipts(const std::string& device_id) const {
    return unbooked_.contains(device_id);
  }

 private:
  struct JobModel {
    v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
    std::string current;  // attempt
    int live = 0;
    int finished = 0;
    int attempts = 0;
    bool profile = false;  // its runs are committed one by one
    std::string group;     // group of jobs that run apart; empty: none
    bool archived = false;
    std::string output;            // artifact id
    std::set<std::string> inputs;  // artifact ids
  };
  struct AttemptModel {
    std::string job_id;
    std::string device_id;
    v1::AttemptState state = v1::ATTEMPT_STATE_PLACED;
    double lease_seconds = 0.0;
    std::string receipt{};  // serialized
  };
  // The state that the durable events describe.
  struct Model {
    std::map<std::pair<std::string, int64_t>, int64_t> marks;  // by device and incarnation
    std::unordered_map<std::string, JobModel> jobs;
    std::unordered_map<std::string, AttemptModel> attempts;
    std::unordered_map<std::string, std::vector<std::string>> groups;  // jobs that run apart
    std::unordered_map<std::string, v1::EnergyLedger> ledgers;         // by device
    std::unordered_map<std::string, std::string> jobs_of_keys;         // includes archived jobs
    int64_t last_sequence = 0;
    std::unordered_set<std::string> evicted;   // artifacts
    std::unordered_set<std::string> shut_out;  // devices that were revoked or wait for approval
    std::map<std::string, std::string> roots;  // of the latest certificates, by identity
    LearningWatch learning;
    UpgradeWatch upgrades;
  };

 public:
  struct Past {
    Model model;
  };

 private:
  void OnEvent(const v1::Event& event);
  void OnPlaced(const v1::AttemptPlaced& placed);
  void CheckAntiAffinity(const v1::AttemptPlaced& placed);
  void OnAccess(const v1::Event& event);
  void OnRoot(const v1::Event& event);
  void CheckTaught(const v1::AttemptStateChanged& changed);
  void OnRecovered(const v1::AttemptRecovered& recovered);
  void OnAttempt(const v1::AttemptStateChanged& changed);
  void OnAdopted(const v1::AttemptAdopted& adopted);
  void OnJob(const v1::JobStateChanged& changed);
  void OnReport(const v1::ReportAccepted& report);
  void OnLedger(const v1::LedgerRecorded& recorded);
  void OnSubmitted(const v1::JobSubmitted& submitted);
  void OnArchived(const v1::JobArchived& archived);
  void OnRemoved(const v1::ArtifactRemoved& removed);
  void SetAttempt(AttemptModel& attempt, v1::AttemptState state);

  const Truth& truth_;
  const bool trace_;
  std::string breach_;
  Model model_;
  std::unordered_set<std::string> touched_;  // jobs of the present batch
  // Facts of the whole world, including journals that a backup replaced:
  std::unordered_set<int64_t> tokens_;
  std::unordered_map<std::string, std::string> keys_of_jobs_;
  std::unordered_set<std::string> unbooked_;     // devices
  std::unordered_map<int64_t, uint64_t> chain_;  // key: sequence number in the present journal
  uint64_t last_chain_ = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_INVARIANTS_H_
