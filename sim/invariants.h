// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What must hold after every event, whatever went wrong. Kept up event by event: an event costs the
// same in a large world as in a small one; the full check of a state is for samples. The first
// breach is kept, in words. Single-threaded.
#ifndef WATTLE_SIM_INVARIANTS_H_
#define WATTLE_SIM_INVARIANTS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "coordinator/core/state.h"
#include "units/quantity.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::sim {

// The truth about the world, which no part of the system knows. The invariants compare the system
// with the truth.
class Truth {
 public:
  virtual ~Truth() = default;
  // Since the coordinator's process last heard of the device; since its start where it never did.
  [[nodiscard]] virtual double SilenceSeconds(const std::string& device_id) const = 0;
  // All that the device drew since the world began.
  [[nodiscard]] virtual Joules Drawn(const std::string& device_id) const = 0;
};

class Invariants {
 public:
  // trace: every durable event goes to stderr, for people who look for a fault.
  Invariants(const Truth& truth, bool trace) : truth_(truth), trace_(trace) {}

  // What a command was decided to, at that moment.
  void OnDecided(const std::vector<v1::Event>& events);
  // One durable batch, in order.
  void OnDurable(const std::vector<v1::Event>& events);
  // An event as a start reads it from the journal: the hash chain must be that of the live events.
  void OnReplayed(const v1::Event& event);
  // A worker dropped reports up to and including this one: they must be durable.
  void OnAcknowledged(const std::string& device_id, int64_t incarnation, int64_t sequence);
  // Every job in one state, every index right. Walks everything.
  void CheckState(const core::State& state);

  // A backup is taken, and later replaces the coordinator's journal. The journal then forgets the
  // events after the backup. The job ids and tokens that it had given out stay given out.
  struct Past;
  [[nodiscard]] Past Remember() const;
  void GoBackTo(const Past& past);

  void Break(const std::string& what);
  [[nodiscard]] const std::string& breach() const { return breach_; }
  [[nodiscard]] uint64_t chain() const { return last_chain_; }
  [[nodiscard]] int64_t last_sequence() const { return model_.last_sequence; }
  // An event took the artifact out of the store.
  [[nodiscard]] bool WasEvicted(const std::string& artifact_id) const {
    return evicted_.contains(artifact_id);
  }
  // A receipt of the device came after its job had left for the history: its joules are in the
  // device's ledger alone.
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
  // What the durable events say.
  struct Model {
    std::map<std::pair<std::string, int64_t>, int64_t> marks;  // by device and incarnation
    std::unordered_map<std::string, JobModel> jobs;
    std::unordered_map<std::string, AttemptModel> attempts;
    std::unordered_map<std::string, v1::EnergyLedger> ledgers;  // by device
    std::unordered_map<std::string, std::string> jobs_of_keys;  // also of archived jobs
    int64_t last_sequence = 0;
  };

 public:
  struct Past {
    Model model;
  };

 private:
  void OnEvent(const v1::Event& event);
  void OnPlaced(const v1::AttemptPlaced& placed);
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
  // Of the whole world, also of journals that a backup replaced.
  std::unordered_set<int64_t> tokens_;
  std::unordered_map<std::string, std::string> keys_of_jobs_;
  std::unordered_set<std::string> evicted_;      // artifacts
  std::unordered_set<std::string> unbooked_;     // devices
  std::unordered_map<int64_t, uint64_t> chain_;  // of the present journal, by sequence number
  uint64_t last_chain_ = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_INVARIANTS_H_
