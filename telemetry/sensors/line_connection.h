// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A TCP connection to a server of text lines, with one deadline for the whole conversation. One
// thread.
#ifndef WATTLE_TELEMETRY_SENSORS_LINE_CONNECTION_H_
#define WATTLE_TELEMETRY_SENSORS_LINE_CONNECTION_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "base/clock.h"
#include "base/host_port.h"

namespace wattle::telemetry {

class LineConnection {
 public:
  // Errors of all calls: kUnavailable (unknown host, refused, connection ended), kDeadlineExceeded.
  // The look-up of a host's name may exceed the deadline.
  static absl::StatusOr<LineConnection> Open(const HostPort& server, Monotonic deadline);
  ~LineConnection();
  LineConnection(LineConnection&& other) noexcept;
  LineConnection& operator=(LineConnection&&) = delete;

  absl::Status Send(absl::string_view text);
  // The next line without its end ("\n" or "\r\n"). Errors: also kInternal for a line of more than
  // 4096 bytes.
  absl::StatusOr<std::string> ReadLine();

 private:
  LineConnection(int socket, std::string where, Monotonic deadline)
      : socket_(socket), where_(std::move(where)), deadline_(deadline) {}
  // Waits until the socket can be read or written (POLLIN, POLLOUT).
  // NOLINTNEXTLINE(google-runtime-int): poll's type
  [[nodiscard]] absl::Status Await(short events) const;
  [[nodiscard]] absl::Status Failed(int error) const;

  int socket_;
  std::string where_;
  Monotonic deadline_;
  std::string received_;
};

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_LINE_CONNECTION_H_
