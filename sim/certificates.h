// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The certificates of a simulated fleet: what each board's card has, how it is renewed, what the
// coordinator's gate says to it, and the roots. The rules of the age and of the records are the
// core's; those of the board are those of identity/. Single-threaded.
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

  // The gate's word to a board that says hello, whose clock says `clock`. A board that is refused
  // renews or enrols where it may, and dials again later.
  bool Admits(const DeviceId& device, absl::Time clock);
  // The board looks, as every hour, whether its certificate is to be renewed.
  void Look(const DeviceId& device, absl::Time clock);
  // Why the board's stream should not have begun; "": nothing speaks against it.
  [[nodiscard]] std::string WhyNoWork(const DeviceId& device) const;

  // An operator's token lets the board in: with the same key, or a new one where it was revoked.
  void Enrol(const DeviceId& device, bool approve);
  [[nodiscard]] bool Has(const DeviceId& device) const { return held_.contains(device); }
  [[nodiscard]] int64_t renewed() const { return renewed_; }
  // The certificate becomes so much older.
  void Age(const DeviceId& device, absl::Duration by);
  // A new root; or, once nobody is left under it, the end of the old one. False: nothing to do now.
  bool Rotate();

 private:
  struct Certificate {
    std::string request;  // by which it was asked for
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
  std::set<DeviceId> waiting_;                  // for an operator
  std::map<DeviceId, std::string> wrongly_in_;  // by the present stream, and why
  int64_t tokens_ = 0;
  int64_t rotations_ = 0;
  int64_t renewed_ = 0;
};

}  // namespace wattle::sim

#endif  // WATTLE_SIM_CERTIFICATES_H_
