// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/line_socket.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

#include "base/file.h"

namespace wattle {
namespace {

constexpr size_t kRequestBytesMax = 200;
// How long one side waits for the other's bytes. An answer may include a write to a slow disk.
constexpr timeval kRequestTime = {.tv_sec = 2, .tv_usec = 0};
constexpr timeval kAnswerTime = {.tv_sec = 30, .tv_usec = 0};

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": too long for a socket, at most ",
                                                   sizeof(address.sun_path) - 1,
                                                   " characters; choose a shorter folder"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* Generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Reads up to `end` or the end of the connection; the result may be incomplete.
std::string ReadUntil(int connection, char end, size_t bytes_max) {
  std::string text;
  char c = 0;
  while (text.size() < bytes_max && recv(connection, &c, 1, 0) == 1 && c != end) {
    text += c;
  }
  return text;
}

bool SendAll(int connection, const std::string& text) {
  return send(connection, text.data(), text.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(text.size());
}

}  // namespace

absl::StatusOr<std::unique_ptr<LineSocket>> LineSocket::Listen(const std::string& path,
                                                               const LineSocketAccess& access,
                                                               Answers answers) {
  const absl::StatusOr<sockaddr_un> address = AddressOf(path);
  if (!address.ok()) {
    return address.status();
  }
  std::unique_ptr<LineSocket> line(new LineSocket(path, std::move(answers)));
  line->socket_ = UniqueDescriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  line->stop_ = UniqueDescriptor(eventfd(0, EFD_CLOEXEC));
  unlink(path.c_str());
  // No connection is possible before listen(), so the umask's mode admits nobody.
  if (line->socket_.get() < 0 || line->stop_.get() < 0 ||
      bind(line->socket_.get(), Generic(*address), sizeof(*address)) != 0 ||
      chmod(path.c_str(), access.mode) != 0 ||
      (access.user != static_cast<uid_t>(-1) &&
       chown(path.c_str(), access.user, static_cast<gid_t>(-1)) != 0) ||
      listen(line->socket_.get(), 4) != 0) {
    return FileError(errno, path, "cannot listen");
  }
  line->thread_ = std::thread([raw = line.get()] { raw->Serve(); });
  return line;
}

LineSocket::~LineSocket() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    (void)!write(stop_.get(), &one, sizeof(one));  // an eventfd at 0 always takes it
    thread_.join();
    unlink(path_.c_str());
  }
}

void LineSocket::Serve() {
  while (true) {
    std::array<pollfd, 2> waits = {pollfd{socket_.get(), POLLIN, 0},
                                   pollfd{stop_.get(), POLLIN, 0}};
    if (poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) {
      return;
    }
    if (waits[1].revents != 0) {
      return;
    }
    if (waits[0].revents != 0) {
      const UniqueDescriptor connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (connection.get() >= 0) {
        Answer(connection.get());
      }
    }
  }
}

void LineSocket::Answer(int connection) const {
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &kRequestTime, sizeof(kRequestTime));
  setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &kRequestTime, sizeof(kRequestTime));
  const LineAnswer answer = answers_(ReadUntil(connection, '\n', kRequestBytesMax));
  SendAll(connection, absl::StrCat(answer.exit_code, " ", answer.text));
}

absl::StatusOr<LineAnswer> AskLineSocket(const std::string& path, absl::string_view server,
                                         const std::string& request) {
  const absl::StatusOr<sockaddr_un> address = AddressOf(path);
  if (!address.ok()) {
    return address.status();
  }
  const UniqueDescriptor connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connection.get() < 0) {
    return FileError(errno, path, absl::StrCat("cannot ask the ", server));
  }
  setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTime, sizeof(kAnswerTime));
  if (connect(connection.get(), Generic(*address), sizeof(*address)) != 0) {
    if (errno == EACCES) {
      return absl::PermissionDeniedError(absl::StrCat(
          path, ": permission denied; ask as root, or as a member of the file's group"));
    }
    return absl::NotFoundError(absl::StrCat(path, ": no ", server, " listens there; start it"));
  }
  if (!SendAll(connection.get(), request + "\n")) {
    return FileError(errno, path, absl::StrCat("cannot ask the ", server));
  }
  const std::string text = ReadUntil(connection.get(), '\0', size_t{1} << 16);
  if (text.size() < 2 || text[0] < '0' || text[0] > '9') {
    return absl::UnavailableError(
        absl::StrCat(path, ": the ", server, " does not answer; its log may say why"));
  }
  return LineAnswer{.exit_code = text[0] - '0', .text = text.substr(2)};
}

}  // namespace wattle
