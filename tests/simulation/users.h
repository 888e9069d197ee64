// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The people of a simulated world, who push artifacts, submit jobs of every kind (some with a
// deadline, some apart from another one, some with the output of others as input), cancel jobs,
// drain devices and set policies. A user without an answer asks again. Single-threaded.
#ifndef WATTLE_TESTS_SIMULATION_USERS_H_
#define WATTLE_TESTS_SIMULATION_USERS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "sim/coordinator.h"
#include "sim/event_loop.h"
#include "sim/options.h"
#include "sim/random.h"
#include "units/quantity.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::sim {

class Users {
 public:
  Users(EventLoop& loop, Random& random, const Options& options, Coordinator& coordinator);

  void Start();
  void CancelSomeJob();
  void DrainAndResume(const DeviceId& device);
  // Removes a device that will not return, repeatedly until the coordinator accepts it.
  void RemoveDevice(const DeviceId& device);
  // reserve: the reserve of a new policy.
  void ChangePolicies(Fraction reserve);
  // Sets or deletes a policy for links.
  void ChangeLinkPolicy();
  // The coordinator was restored from an old backup: repeats every request since the backup.
  void AskAgain();
  // Ends cancels, drains and reserves, so that everything can come to rest.
  void StopFaults();

  [[nodiscard]] bool all_answered() const;
  // Jobs that the coordinator refused for good because their input failed.
  [[nodiscard]] size_t refused() const { return refused_.size(); }
  // The spec of an accepted job; null for an unknown id.
  [[nodiscard]] const v1::JobSpec* SpecOf(const std::string& job_id) const;

 private:
  void Push(const v1::ArtifactInfo& info);
  void Submit(int number);
  void Resume(const DeviceId& device);
  void SeeWhetherGone(const DeviceId& device);
  // The period of a daily policy: a day, or a dense world's half hour.
  [[nodiscard]] double SpanSeconds() const;
  [[nodiscard]] int NowMinutes() const;  // after midnight
  // A window of the day, which may be open now.
  std::string Window();
  v1::Policy MakePolicy(Fraction reserve);
  v1::Policy MakeLink();
  // Applies the policy. Sometimes deletes one that exists already.
  void Change(const v1::Policy& policy);
  v1::Policy MakeReserve(Fraction reserve);
  // Makes a policy of a field with a usual range (policy/fields.h).
  v1::Policy MakeUsual(int draw);
  void Apply(const v1::Policy& policy);
  void Delete(const std::string& name);
  v1::JobSpec MakeSpec(int number);
  std::string ChooseModel();
  void BoundExploring();
  // A profile job of a board; nullopt: this job is another kind.
  std::optional<v1::JobSpec> MakeProfile(int number) const;
  void AddAntiAffinity(int number, v1::JobSpec& spec) const;
  void MakeShortJob(const std::string& model, v1::JobSpec& spec);
  void Retry(std::function<void()> action);

  EventLoop& loop_;
  Random& random_;
  const Options& options_;
  Coordinator& coordinator_;
  double retry_seconds_;
  std::map<int, v1::JobSpec> specs_;    // by the user's number
  std::map<int, std::string> ids_;      // job ids of answered submits
  std::map<std::string, int> numbers_;  // by job id
  std::set<int> begun_;
  std::set<int> answered_;
  std::set<int> refused_;
  std::set<std::string> drained_;
  std::set<std::string> gone_;
  std::set<std::string> policies_;
};

}  // namespace wattle::sim

#endif  // WATTLE_TESTS_SIMULATION_USERS_H_
