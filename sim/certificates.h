// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The certificates of a simulated fleet: the one on each board's card, renewals, the coordinator's
// admission, and the roots. The rules of age and records are the core's; those of the board are in
// identity/. Single-threaded.
#ifndef WATTLE_SIM_CERTIFICATES_H_
#define WATTLE_SIM_CERTIFICATES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "coordinator/core/certificate_age.h"
#include "coordinator/core/command.h"
#include "sim/coordinator.h"
#include "sim/event_loop.h"
#include "sim/options.h"
#include "sim/random.h"
#include "units/id.h"

namespace wattle::sim {

// An operator revokes the board.
core::RevokeIdentity RevocationOf(const DeviceId& device, const std::string& reason);

class Certificates {
 public:
  Certificates(EventLoop& loop, const Options& options, Coordinator& coordinator);

  // Whether the coordinator admits a board that sends a hello, with `clock` as the board's clock. A
  // refused board renews or enrols where it may, and dials again later.
  bool Admits(const DeviceId& device, absl::Time clock);
  // The board's hourly check whether its certificate is due for renewal.
  void Look(const DeviceId& device, absl::Time clock);
  // Why the board's stream should not have begun; "": there is no reason.
  [[nodiscard]] std::string WhyNoWork(const DeviceId& device) const;

  // Enrols the board with an operator's token: with the same key, or a new one if it was revoked.
  void Enrol(const DeviceId& device, bool approve);
  [[nodiscard]] bool Has(const DeviceId& device) const { return held_.contains(device); }
  [[nodiscard]] int64_t renewed() const { return renewed_; }
  // Makes the certificate older by this time.
  void Age(const DeviceId& device, absl::Duration by);
  // Adds a new root or, once no identity depends on the old one, retires it. Returns false if
  // neither is due.
  bool Rotate();

 private:
  struct Certificate {
    std::string request;  // request that the certificate answers
    std::string key;
    std::string root;
    core::Validity validity;
  };
  [[nodiscard]] const v1::IdentityRecord* RecordOf(const DeviceId& device) const;
  [[nodiscard]] Certificate Sign(const std::string& request, const std::string& key) const;
  [[nodiscard]] bool IsTrusted(const std::string& root) const;
  void TakeAnswer(const DeviceId& device);
  void Renew(const DeviceId& device);
  void LetInLater(const DeviceId& device);
  void SeeWhetherLetIn(const DeviceId& device);

  EventLoop& loop_;
  const Options& options_;
  Coordinator& coordinator_;
  Random random_;
  std::vector<std::string> roots_ = {"root 0"};  // trusted; the last one signs
  std::map<DeviceId, Certificate> held_;         // by the boards
  std::map<DeviceId, Certificate> signed_;       // at their latest enrolment
  std::set<DeviceId> renewing_;
  std::set<DeviceId> waiting_;                  // wait for an operator
  std::map<DeviceId, std::string> wrongly_in_;  // admitted wrongly; the reason
  int64_t tokens_ = 0;
  int64_t rotations_ = 0;
  int64_t renewed_ = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_CERTIFICATES_H_
