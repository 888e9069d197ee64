// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What must hold after every event, whatever went wrong. The first breach is kept, in words.
// Single-threaded.
#ifndef WATTLE_SIM_INVARIANTS_H_
#define WATTLE_SIM_INVARIANTS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "coordinator/core/state.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::sim {

class Invariants {
 public:
  // A durable event, before it is applied to the durable state.
  void OnDurableEvent(const v1::Event& event);
  // After a whole decision was applied.
  void OnState(const core::State& state);
  // The same events, once applied live and once read back.
  void OnReplay(const core::State& live, const core::State& replayed);
  // A worker dropped reports up to and including this one: they must be durable.
  void OnAcknowledged(const std::string& device, int64_t incarnation, int64_t sequence);
  void Break(const std::string& what);

  [[nodiscard]] const std::string& breach() const { return breach_; }

 private:
  void CheckJob(const v1::Job& job);

  std::string breach_;
  std::map<std::pair<std::string, int64_t>, int64_t> marks_;  // durable, by device and incarnation
  std::map<std::string, std::string> ended_jobs_;             // durable: their state and output
  std::set<int64_t> tokens_;                                  // durable
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_INVARIANTS_H_
