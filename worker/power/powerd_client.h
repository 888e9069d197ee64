// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Client of wattle-powerd, the only program of a board that runs as root.
#ifndef WATTLE_WORKER_POWER_POWERD_CLIENT_H_
#define WATTLE_WORKER_POWER_POWERD_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "worker/power/board_power.h"

namespace wattle::agent {

// The service's socket.
inline constexpr char kPowerdSocket[] = "/run/wattle-powerd/powerd.sock";

class PowerdClient final : public BoardPower {
 public:
  // Connects and asks for the allowed verbs. Errors: those of AskLineSocket; kNotFound:
  // wattle-powerd does not run.
  static absl::StatusOr<std::unique_ptr<PowerdClient>> Connect(const std::string& socket);

  absl::Status Set(const PowerModeRow& mode) override;
  absl::Status Restore() override;
  absl::Status Forget() override;
  [[nodiscard]] bool may_power_off() const override { return may_power_off_; }
  absl::Status PowerOff() override;

 private:
  PowerdClient(std::string socket, bool may_power_off)
      : socket_(std::move(socket)), may_power_off_(may_power_off) {}
  [[nodiscard]] absl::Status Ask(const std::string& request) const;

  const std::string socket_;
  const bool may_power_off_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_POWER_POWERD_CLIENT_H_
