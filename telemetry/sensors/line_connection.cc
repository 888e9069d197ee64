// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/line_connection.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "base/status_macros.h"

namespace wattle::telemetry {
namespace {

constexpr size_t kLineMax = 4096;

}  // namespace

absl::StatusOr<LineConnection> LineConnection::Open(const HostPort& server, Monotonic deadline) {
  const std::string where = FormatHostPort(server);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int unknown =
      getaddrinfo(server.host.c_str(), std::to_string(server.port).c_str(), &hints, &list);
  if (unknown != 0) {
    return absl::UnavailableError(absl::StrCat(where, ": ", gai_strerror(unknown)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(list, &freeaddrinfo);
  absl::Status problem = absl::UnavailableError(absl::StrCat(where, ": has no address"));
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    const int file = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (file < 0) {
      continue;
    }
    LineConnection connection(file, where, deadline);
    if (connect(file, address->ai_addr, address->ai_addrlen) == 0) {
      return connection;
    }
    problem = errno == EINPROGRESS ? connection.Await(POLLOUT) : connection.Failed(errno);
    int error = 0;
    socklen_t size = sizeof(error);
    if (problem.ok() && getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) {
      return connection;
    }
    if (problem.ok()) {
      problem = connection.Failed(error);
    }
  }
  return problem;
}

LineConnection::LineConnection(LineConnection&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      where_(std::move(other.where_)),
      deadline_(other.deadline_),
      received_(std::move(other.received_)) {}

LineConnection::~LineConnection() {
  if (socket_ >= 0) {
    close(socket_);
  }
}

absl::Status LineConnection::Failed(int error) const {
  return absl::UnavailableError(absl::StrCat(where_, ": ", std::generic_category().message(error)));
}

// NOLINTNEXTLINE(google-runtime-int): poll's type
absl::Status LineConnection::Await(short events) const {
  while (true) {
    const int64_t left = absl::ToInt64Milliseconds(deadline_ - Clock::Real().Boottime());
    pollfd waited = {.fd = socket_, .events = events, .revents = 0};
    const int ready =
        left <= 0 ? 0 : poll(&waited, 1, static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (ready > 0) {
      return absl::OkStatus();
    }
    if (ready < 0 && errno != EINTR) {
      return Failed(errno);
    }
    if (left <= 0) {
      return absl::DeadlineExceededError(absl::StrCat(where_, ": no answer in time"));
    }
  }
}

absl::Status LineConnection::Send(absl::string_view text) {
  while (!text.empty()) {
    WATTLE_RETURN_IF_ERROR(Await(POLLOUT));
    const ssize_t sent = send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      return Failed(errno);
    }
    text.remove_prefix(static_cast<size_t>(std::max<ssize_t>(sent, 0)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> LineConnection::ReadLine() {
  while (true) {
    const size_t end = received_.find('\n');
    if (end != std::string::npos) {
      std::string line = received_.substr(0, end);
      received_.erase(0, end + 1);
      if (!line.empty() && line.back() == '\r') {
        line.pop_back();
      }
      return line;
    }
    if (received_.size() > kLineMax) {
      return absl::InternalError(absl::StrCat(where_, ": a line of more than 4096 bytes"));
    }
    WATTLE_RETURN_IF_ERROR(Await(POLLIN));
    std::array<char, 4096> buffer = {};
    const ssize_t size = recv(socket_, buffer.data(), buffer.size(), 0);
    if (size == 0) {
      return absl::UnavailableError(absl::StrCat(where_, ": the server ended the connection"));
    }
    if (size < 0 && errno != EAGAIN && errno != EINTR) {
      return Failed(errno);
    }
    received_.append(buffer.data(), static_cast<size_t>(std::max<ssize_t>(size, 0)));
  }
}

}  // namespace wattle::telemetry
