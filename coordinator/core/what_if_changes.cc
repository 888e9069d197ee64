// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/what_if_changes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

#include "coordinator/core/leaner_forms_internal.h"
#include "policy/guard_reason.h"
#include "scheduler/place/device/choose_device.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/work.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::core {
namespace {

// Counts instead of times, so that the same request gives the same answer.
constexpr int kPlansMax = 48;
constexpr size_t kDevicesMax = 10'000;  // For all these plans together.
constexpr int kChangesMax = 3;          // Per device.

struct Later {
  double seconds = 0;
  absl::string_view words;
};
constexpr std::array<Later, 7> kLaterDeadlines = {{{600, "10 min"},
                                                   {3600, "1 h"},
                                                   {3 * 3600, "3 h"},
                                                   {12 * 3600, "12 h"},
                                                   {24 * 3600, "24 h"},
                                                   {72 * 3600, "3 days"},
                                                   {168 * 3600, "7 days"}}};
// Reserves are tried in steps of a twentieth of the charge.
constexpr int kReserveSteps = 20;

// Each kind of change is reported once per device.
enum class Kind { kBatch, kDeadline, kLeaner, kQuantization, kReserve, kPowerMode, kProfile };

// Whether some change of this file could lift the refusal.
bool MayWin(const v1::Candidate& candidate) {
  constexpr std::array<absl::string_view, 5> kLifted = {
      "memory", "battery_reserve", "daily_energy_budget", "deadline", "energy_budget"};
  return candidate.feasible() ||
         std::find(kLifted.begin(), kLifted.end(), candidate.refused_by()) != kLifted.end();
}

class Search {
 public:
  Search(const scheduler::Snapshot& snapshot, const scheduler::JobView& job, v1::PlanResponse& plan)
      : snapshot_(snapshot), job_(job), plan_(plan) {
    for (v1::Candidate& candidate : *plan_.mutable_candidates()) {
      if (candidate.device_id() != plan_.chosen_device_id() && MayWin(candidate)) {
        others_.push_back(&candidate);
      }
    }
  }

  void Add(const JobWithSpec& with_spec) {
    TryForms(Kind::kBatch, OtherBatches(job_.spec), with_spec);
    AddDeadlines(with_spec);
    if (AnyRefusedBy("memory")) {
      TryForms(Kind::kLeaner, LeanerForms(job_.spec), with_spec);
      TryForms(Kind::kQuantization, QuantizedForms(job_.spec), with_spec);
    }
    for (const v1::Candidate* other : others_) {
      if (!MayPlan()) {
        return;  // Changing the fleet copies it, which is too expensive now.
      }
      AddReserve(*other);
      AddPowerModes(*other);
      AddProfile(*other);
    }
  }

 private:
  [[nodiscard]] bool AnyRefusedBy(absl::string_view rule) const {
    return std::any_of(others_.begin(), others_.end(),
                       [rule](const v1::Candidate* other) { return other->refused_by() == rule; });
  }

  [[nodiscard]] bool MayPlan() const {
    return !others_.empty() && plans_ < kPlansMax &&
           devices_ + snapshot_.devices.size() <= kDevicesMax;
  }

  // The device that the planner chooses; nullopt: none, or the search has reached its bound.
  std::optional<v1::Candidate> Choose(const scheduler::Snapshot& snapshot,
                                      const scheduler::JobView& job) {
    if (!MayPlan()) {
      return std::nullopt;
    }
    plans_ += 1;
    devices_ += snapshot.devices.size();
    return scheduler::ChooseDevice(snapshot, job).value_or(std::nullopt);
  }

  // Notes the change at the device that wins by it, unless the plan chooses that device anyway.
  void Note(Kind kind, const std::string& change, const std::optional<v1::Candidate>& winner) {
    if (!winner.has_value()) {
      return;
    }
    for (v1::Candidate* other : others_) {
      if (other->device_id() != winner->device_id() || other->would_win_if_size() >= kChangesMax ||
          !noted_.emplace(other->device_id(), kind).second) {
        continue;
      }
      v1::WinningChange& winning = *other->add_would_win_if();
      winning.set_change(change);
      winning.set_cost(winner->cost());
      winning.set_finish_in_seconds(winner->finish_in_seconds());
    }
  }

  // A spec that two kinds of change share is planned once.
  void TrySpec(Kind kind, const std::string& change, const v1::JobSpec& spec,
               const JobWithSpec& with_spec) {
    if (!MayPlan() || !tried_.insert(spec.SerializeAsString()).second) {
      return;
    }
    if (const absl::StatusOr<scheduler::JobView> job = with_spec(spec); job.ok()) {
      Note(kind, change, Choose(snapshot_, *job));
    }
  }

  void TryForms(Kind kind, const std::vector<ChangedSpec>& forms, const JobWithSpec& with_spec) {
    for (const ChangedSpec& form : forms) {
      TrySpec(kind, absl::StrReplaceAll(form.change, {{": ", " "}}), form.spec, with_spec);
    }
  }

  // A later deadline may also help a device that waits: a start late in the spare time ranks behind
  // the others.
  void AddDeadlines(const JobWithSpec& with_spec) {
    const bool any_waits =
        std::any_of(others_.begin(), others_.end(), [](const v1::Candidate* other) {
          return other->feasible() && other->start_in_seconds() > 0;
        });
    if (job_.spec.deadline_seconds() <= 0 || (!any_waits && !AnyRefusedBy("deadline"))) {
      return;
    }
    for (const Later& later : kLaterDeadlines) {
      v1::JobSpec spec = job_.spec;
      spec.set_deadline_seconds(spec.deadline_seconds() + later.seconds);
      TrySpec(Kind::kDeadline, absl::StrCat("a deadline ", later.words, " later"), spec, with_spec);
    }
  }

  // Lowers the reserve in each policy that asks the device for more. The search bisects the reserve
  // in twentieths between 1, which has to win, and the present one. A policy without any limit
  // would be refused, so the reserve is never 0.
  void AddReserve(const v1::Candidate& other) {
    const v1::DeviceInfo& info = InfoOf(other);
    const policy::Limits limits = scheduler::LimitsFor(snapshot_.policies, info);
    if (other.refused_by() != "battery_reserve" || !limits.reserve) {
      return;
    }
    const double reserve = limits.reserve->state_of_charge.value();
    int wins = -1;
    std::optional<v1::Candidate> winner;
    for (int low = 1, high = static_cast<int>(std::ceil(reserve * kReserveSteps - 1e-9));
         low < high;) {
      const int step = wins < 0 ? 1 : (low + high) / 2;
      std::optional<v1::Candidate> chosen = Choose(WithReserve(info, step), job_);
      const bool is_other = chosen.has_value() && chosen->device_id() == other.device_id();
      if (is_other) {
        wins = step;
        winner = std::move(chosen);
        low = step + 1;
      } else if (wins < 0) {
        return;
      } else {
        high = step;
      }
    }
    if (winner.has_value()) {
      Note(Kind::kReserve,
           absl::StrCat("a reserve of ", wins * 100 / kReserveSteps, " % (",
                        absl::StrJoin(PoliciesOfMoreThan(info, wins), ", "), ")"),
           winner);
    }
  }

  // The policies that require a larger reserve of the device: "policy mast".
  [[nodiscard]] std::vector<std::string> PoliciesOfMoreThan(const v1::DeviceInfo& info,
                                                            int step) const {
    std::vector<std::string> names;
    for (const v1::Policy& policy : snapshot_.policies) {
      if (AsksForMoreThan(policy, info, step)) {
        names.push_back(absl::StrCat("policy ", policy.name()));
      }
    }
    return names;
  }

  static bool AsksForMoreThan(const v1::Policy& policy, const v1::DeviceInfo& info, int step) {
    return scheduler::Selects(policy, info) &&
           policy.reserve_state_of_charge_ratio() > ReserveOf(step);
  }
  static double ReserveOf(int step) { return static_cast<double>(step) / kReserveSteps; }

  // The guards' reasons to idle follow from the present policies and therefore do not count, as in
  // any plan with other policies.
  [[nodiscard]] scheduler::Snapshot WithReserve(const v1::DeviceInfo& info, int step) const {
    scheduler::Snapshot changed = snapshot_;
    for (v1::Policy& policy : changed.policies) {
      if (AsksForMoreThan(policy, info, step)) {
        policy.set_reserve_state_of_charge_ratio(ReserveOf(step));
      }
    }
    for (scheduler::DeviceView& view : changed.devices) {
      policy::ForgetPolicies(*view.device.mutable_heartbeat());
    }
    return changed;
  }

  // A worker that sets modes has already been evaluated in each of them.
  void AddPowerModes(const v1::Candidate& other) {
    const v1::DeviceInfo& info = InfoOf(other);
    if (info.sets_power_modes()) {
      return;
    }
    for (const v1::PowerMode& mode : info.power_modes()) {
      if (mode.name() == info.power_mode()) {
        continue;
      }
      scheduler::Snapshot changed = snapshot_;
      changed.devices[IndexOf(other)].device.mutable_info()->set_power_mode(mode.name());
      const std::optional<v1::Candidate> winner = Choose(changed, job_);
      if (winner.has_value() && winner->device_id() == other.device_id()) {
        Note(Kind::kPowerMode, absl::StrCat("power mode ", mode.name()), winner);
      }
    }
  }

  // The board whose measured profile gives the job the least cost lends its rows for this work.
  void AddProfile(const v1::Candidate& other) {
    const v1::Candidate* lender = nullptr;
    for (const v1::Candidate& candidate : plan_.candidates()) {
      if (candidate.prediction().provenance() == v1::PROVENANCE_MEASURED_DEVICE &&
          candidate.device_id() != other.device_id() && candidate.emulated() == other.emulated() &&
          (lender == nullptr || candidate.cost() < lender->cost())) {
        lender = &candidate;
      }
    }
    const auto work = scheduler::WorkOf(job_.spec, job_.inputs, *snapshot_.profiles);
    if (lender == nullptr || !other.feasible() || !work.ok()) {
      return;
    }
    const scheduler::ProfileTable profiles = WithProfileOf(*lender, work->signature, other);
    scheduler::Snapshot changed = snapshot_;
    changed.profiles = &profiles;
    const std::optional<v1::Candidate> winner = Choose(changed, job_);
    if (winner.has_value() && winner->device_id() == other.device_id()) {
      Note(Kind::kProfile, absl::StrCat("the measured profile of ", lender->device_name()), winner);
    }
  }

  [[nodiscard]] scheduler::ProfileTable WithProfileOf(const v1::Candidate& lender,
                                                      const v1::WorkloadSignature& signature,
                                                      const v1::Candidate& other) const {
    scheduler::ProfileTable profiles = *snapshot_.profiles;
    for (const auto& entry : snapshot_.profiles->OfWorkload(lender.device_class(), signature)) {
      v1::ProfileRow row = entry.row();
      if (row.device_id() == lender.device_id() && row.source() == v1::PROFILE_SOURCE_MEASURED &&
          (row.power_mode().empty() || row.power_mode() == lender.power_mode())) {
        row.set_device_id(other.device_id());
        row.set_device_class(other.device_class());
        row.set_power_mode(other.power_mode());
        // The table may refuse a row; the plan is then made without it.
        (void)profiles.Put(row);
      }
    }
    return profiles;
  }

  [[nodiscard]] size_t IndexOf(const v1::Candidate& candidate) const {
    const auto view = std::find_if(snapshot_.devices.begin(), snapshot_.devices.end(),
                                   [&candidate](const scheduler::DeviceView& each) {
                                     return each.device.info().device_id() == candidate.device_id();
                                   });
    return static_cast<size_t>(view - snapshot_.devices.begin());
  }
  [[nodiscard]] const v1::DeviceInfo& InfoOf(const v1::Candidate& candidate) const {
    return snapshot_.devices[IndexOf(candidate)].device.info();
  }

  const scheduler::Snapshot& snapshot_;
  const scheduler::JobView& job_;
  v1::PlanResponse& plan_;
  std::vector<v1::Candidate*> others_;  // In the order of the plan.
  std::set<std::pair<std::string, Kind>> noted_;
  std::set<std::string> tried_;  // By spec.
  int plans_ = 0;
  size_t devices_ = 0;
};

}  // namespace

void AddWhatIfChanges(const scheduler::Snapshot& snapshot, const scheduler::JobView& job,
                      const JobWithSpec& with_spec, v1::PlanResponse& plan) {
  Search(snapshot, job, plan).Add(with_spec);
}

}  // namespace wattle::core
