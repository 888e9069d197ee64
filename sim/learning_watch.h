// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks what the coordinator learns about a drawn world's boards, and its exploration. The checks
// use only the events, not the predictor:
// - a prediction "measured on this device", or "on its class", requires a receipt of that device,
//   or of a board of its class that is likewise real or emulated;
// - a published row, another class or a datasheet predicts nothing that the device has measured;
// - an interval covers one run, not a mean;
// - a receipt is scored against the prediction with which its attempt was placed;
// - a row's newest run is the receipt's, and no run from before a change of its device counts;
// - a run beside other programs changes none of a row's numbers;
// - probes and profile jobs are within their budgets when they start.
// A plain value, so that a restored journal can return to an earlier one.
#ifndef WATTLE_SIM_LEARNING_WATCH_H_
#define WATTLE_SIM_LEARNING_WATCH_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "units/quantity.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::sim {

class LearningWatch {
 public:
  // The breach as a sentence; empty: none.
  std::string OnEvent(const v1::Event& event);

  // Probes since the journal began.
  [[nodiscard]] int64_t probes() const { return probes_; }
  [[nodiscard]] int64_t profile_runs() const { return profile_runs_; }
  [[nodiscard]] int64_t device_changes() const { return device_changes_; }

 private:
  struct Board {
    std::string device_class;
    bool emulated = false;
  };
  struct Attempt {
    std::string job_id;
    std::string device_id;
    v1::Prediction prediction;
    std::string workload;  // of its run
    bool wide = false;
    int64_t computed_on = 0;  // last event before its plan
    bool released = false;    // because of its first steps or a pause
    bool ended = false;
    bool kept = false;  // its first steps taught something, or it brought the result
    Joules booked;      // by its receipt
    int64_t day = 0;    // of its end
  };

  std::string OnPlaced(const v1::AttemptPlaced& placed, int64_t day);
  std::string OnAttempt(const v1::AttemptStateChanged& changed, int64_t day);
  std::string OnRows(const v1::ProfileUpdated& updated, int64_t sequence);
  std::string CheckLearned(const v1::ProfileRow& row, int64_t sequence);
  static std::string CheckChange(const v1::ProfileRow& row);
  std::string CheckUnmoved(const v1::ProfileRow& row);
  [[nodiscard]] std::string CheckProvenance(const Attempt& attempt, const std::string& mode) const;
  [[nodiscard]] std::string CheckBudget(const v1::AttemptPlaced& placed, int64_t day) const;
  [[nodiscard]] Joules Explored(const std::string& device_id, int64_t day) const;
  [[nodiscard]] Joules Share(const std::string& device_id, int64_t day) const;

  std::map<std::string, Board> boards_;
  std::map<std::string, v1::JobSpec> specs_;  // by job
  std::map<std::string, Attempt> attempts_;
  std::map<std::string, double> ratios_;  // exploration_ratio by policy
  // Key: (device, workload) that a receipt taught. Value: the first event that did.
  std::map<std::pair<std::string, std::string>, int64_t> of_device_;
  std::set<std::tuple<std::string, bool, std::string>> of_class_;  // (class, emulated, workload)
  // A receipt came for an attempt that only the journal before a restore contained.
  bool taught_by_unknown_ = false;
  // Seconds and joules per unit of work, by key of the row.
  std::map<std::string, std::pair<double, double>> means_;
  v1::Receipt newest_;                     // of the last attempt that finished
  std::map<std::string, double> changes_;  // by device: time of the newest change in a row
  int64_t probes_ = 0;
  int64_t profile_runs_ = 0;
  int64_t device_changes_ = 0;
  bool rows_remain_ = false;  // the next rows are those that remain after a revocation
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_LEARNING_WATCH_H_
