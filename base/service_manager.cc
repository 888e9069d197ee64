// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace wattle {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
  return value == nullptr ? "" : value;
}

}  // namespace

ServiceManager ServiceManager::FromEnvironment() {
  ServiceManager manager;
  const std::string socket = Variable("NOTIFY_SOCKET");
  // A socket of another kind, such as vsock, is the manager of a virtual machine.
  if (socket.empty() || (socket[0] != '/' && socket[0] != '@') ||
      socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return manager;
  }
  manager.socket_ = socket;
  // WATCHDOG_PID names another process if a parent of this one has the watchdog.
  const std::string pid = Variable("WATCHDOG_PID");
  int64_t limit_us = 0;
  if ((pid.empty() || pid == absl::StrCat(getpid())) &&
      absl::SimpleAtoi(Variable("WATCHDOG_USEC"), &limit_us) && limit_us > 0) {
    manager.alive_interval_ = absl::Microseconds(limit_us) / 2;
  }
  return manager;
}

void ServiceManager::Ready(absl::string_view status) const {
  Send(absl::StrCat("READY=1\nSTATUS=", status));
}

void ServiceManager::Stopping() const {
  Send("STOPPING=1");
}

void ServiceManager::Alive() const {
  Send("WATCHDOG=1");
}

void ServiceManager::Send(absl::string_view message) const {
  if (socket_.empty()) {
    return;
  }
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    return;
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@') {
    address.sun_path[0] = '\0';
  }
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  // MSG_DONTWAIT: a manager that does not read must not stop the loop that feeds it.
  (void)sendto(descriptor, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&address), length);
  close(descriptor);
}

}  // namespace wattle
