// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The service manager that started this process: systemd, or any other that sets NOTIFY_SOCKET.
// The protocol is the one of sd_notify(3): one datagram for each message. libsystemd would load
// compression libraries into a worker that counts its memory in tens of MiB, and its manual offers
// the protocol as stable for programs without the library.
#ifndef WATTLE_BASE_SERVICE_MANAGER_H_
#define WATTLE_BASE_SERVICE_MANAGER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace wattle {

// Thread-safe. Every call without a service manager does nothing. A message that cannot be sent is
// dropped: the manager's own time limits then act.
class ServiceManager {
 public:
  // No service manager.
  ServiceManager() = default;
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Call it before any thread is started.
  static ServiceManager FromEnvironment();

  // The process now serves. status: one line for `systemctl status`.
  void Ready(absl::string_view status) const;
  // The process ends in order.
  void Stopping() const;
  // Feeds the watchdog; called once per turn of the main loop. The manager restarts a process that
  // is silent for longer than its WatchdogSec.
  void Alive() const;

  // Interval for calls of Alive(): half of WatchdogSec. Infinite: there is no watchdog.
  [[nodiscard]] absl::Duration alive_interval() const { return alive_interval_; }

 private:
  void Send(absl::string_view message) const;

  std::string socket_;  // A path, or "@" and an abstract name; empty: no manager.
  absl::Duration alive_interval_ = absl::InfiniteDuration();
};

}  // namespace wattle

#endif  // WATTLE_BASE_SERVICE_MANAGER_H_
