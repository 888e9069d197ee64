// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Jobs against all devices: predictions, rules, costs, order. PlanJob and PlanQueue stand on it.
// One thread at a time.
#ifndef WATTLE_SCHEDULER_PLACE_CONSIDER_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_CONSIDER_INTERNAL_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "scheduler/place/objective.h"
#include "scheduler/place/rule.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/predict/work.h"
#include "units/quantity.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::scheduler {

// A device after the decisions that the plan has made so far: when the device is free, and how many
// joules its battery owes. In the order of Snapshot::devices.
struct DeviceLoad {
  absl::Time free_at;
  Joules committed;
};

std::vector<DeviceLoad> InitialLoads(const Snapshot& snapshot);

// Every device for one job. The first candidate is the choice, if it is feasible.
//
// The rule of choice: two candidates are equal in energy when their costs differ by less than the
// combined standard deviation of both predictions. Of the candidates that are equal to the cheapest
// one, the candidate with the earliest end is chosen; of equal ends the cheaper one, then name and
// id decide. Each candidate is compared with the cheapest alone, never with a third one, so the
// choice follows from the set of candidates and not from their order. With the objectives time and
// edp only equal costs are equal: the end is part of the cost.
struct Considered {
  // The choice, then the other feasible ones, cheapest first, then the refused ones by name. They
  // belong to the FleetView.
  std::vector<const v1::Candidate*> candidates;
  std::vector<size_t> devices;  // Index into Snapshot::devices of each candidate.
  int feasible = 0;
  // A cheaper candidate is equal to the choice, and ends later.
  bool chosen_by_end = false;
};

struct ConsiderOptions {
  bool dry_run = false;
};

// Looks at the fleet for one job after the other. Jobs of one shape (the same work, wishes and
// inputs) differ only in what the plan decided between them: the candidates of the job before are
// kept, and only devices with another load are looked at again. So a long queue of few shapes costs
// little more than its shapes.
class FleetView {
 public:
  // snapshot: outlives the view and does not change.
  FleetView(const Snapshot& snapshot, ConsiderOptions options)
      : snapshot_(snapshot), options_(options) {}

  // Every device for the job, given the loads (in the order of Snapshot::devices). The answer's
  // pointers hold until the next call.
  Considered Consider(const JobView& job, const WorkAmount& work,
                      const std::vector<DeviceLoad>& loads);

 private:
  // By what feasible candidates are ordered, computed once.
  struct Rank {
    bool feasible = false;
    double cost = 0;
    double finish_in_seconds = 0;
    // Of the logarithm of the cost; 0 where the objective tells any two costs apart.
    double deviation = 0;
  };
  // What a device is to the job, whatever the plan has put on it.
  struct Described {
    v1::Candidate candidate;
    double deviation = 0;  // Of the logarithm of the marginal joules.
    // Of the rules of the scope kDevice, the refusal that counts, and its row in Rules().
    std::optional<Refusal> refusal;
    size_t refusing_rule = 0;
  };
  struct Shape {
    // As Snapshot::devices, and so are loads and ranks.
    std::shared_ptr<const std::vector<Described>> described;
    std::vector<v1::Candidate> candidates;
    std::vector<DeviceLoad> loads;
    std::vector<Rank> ranks;
    std::vector<size_t> order;
  };

  Shape& ShapeOf(const JobView& job, const WorkAmount& work, const std::vector<DeviceLoad>& loads);
  // Everything that depends on the load: when, battery, rules, rank.
  void PlaceAt(const JobView& job, size_t device, const DeviceLoad& load, Shape& shape) const;
  static bool ComesBefore(const Shape& shape, size_t a, size_t b);
  // Position in `order` of the choice among the feasible ones.
  static size_t ChoiceOf(const Shape& shape);
  Described Describe(const JobView& job, const WorkAmount& work, const DeviceView& view) const;

  const Snapshot& snapshot_;
  const ConsiderOptions options_;
  std::map<std::string, Shape> shapes_;
  // The latest work and what each device would take for it: the same for every objective.
  std::string described_key_;
  std::shared_ptr<const std::vector<Described>> described_;
};

// The choice: the first candidate, if it is feasible; null: none.
const v1::Candidate* Chosen(const Considered& considered);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_CONSIDER_INTERNAL_H_
