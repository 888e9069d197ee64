// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/http/socket_stream.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/strings/numbers.h"

#include "base/clock.h"

namespace wattle::http {
namespace {

constexpr size_t kHeadBytesMax = size_t{64} << 10;

using AddressOf = int (*)(int, sockaddr*, socklen_t*);

// Leaves ip and port as they are where the socket has no such address.
void Name(AddressOf address_of, int socket, std::string& ip, int& port) {
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  std::array<char, NI_MAXHOST> host = {};
  std::array<char, NI_MAXSERV> service = {};
  int number = 0;
  if (address_of(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
      getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host.data(), host.size(),
                  service.data(), service.size(), NI_NUMERICHOST | NI_NUMERICSERV) == 0 &&
      absl::SimpleAtoi(service.data(), &number)) {
    ip = host.data();
    port = number;
  }
}

}  // namespace

bool SocketStream::Await(int16_t event, absl::Duration silence) {
  const absl::Duration wait = std::min(silence, patience_.request - waited_);
  const Monotonic begun = Clock::Real().Boottime();
  pollfd peer = {socket_, event, 0};
  on_wait_(true);
  const int64_t milliseconds = std::max<int64_t>(0, absl::ToInt64Milliseconds(wait));
  const int ready = poll(&peer, 1, static_cast<int>(milliseconds));
  on_wait_(false);
  waited_ += Clock::Real().Boottime() - begun;
  return ready == 1 || (ready < 0 && errno == EINTR);
}

bool SocketStream::Fill(absl::Duration silence) {
  while (begin_ == end_) {
    const ssize_t got = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got > 0) {
      begin_ = 0;
      end_ = static_cast<size_t>(got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR) || !Await(POLLIN, silence)) {
      return false;
    }
  }
  return true;
}

bool SocketStream::AwaitRequest() {
  waited_ = absl::ZeroDuration();
  head_bytes_ = 0;
  line_ends_ = 0;
  return Fill(patience_.idle);
}

bool SocketStream::is_readable() const {
  return begin_ != end_ || waited_ < patience_.request;
}

bool SocketStream::is_writable() const {
  return waited_ < patience_.request;
}

bool SocketStream::HeadIsTooLong(const char* bytes, size_t size) {
  for (size_t i = 0; i < size && line_ends_ < 2; ++i) {
    ++head_bytes_;
    line_ends_ = bytes[i] == '\n' ? line_ends_ + 1 : bytes[i] == '\r' ? line_ends_ : 0;
  }
  return head_bytes_ > kHeadBytesMax;
}

ssize_t SocketStream::read(char* bytes, size_t size) {
  if (!Fill(patience_.silence)) {
    return -1;
  }
  const size_t taken = std::min(size, end_ - begin_);
  std::memcpy(bytes, buffer_.data() + begin_, taken);
  begin_ += taken;
  return HeadIsTooLong(bytes, taken) ? -1 : static_cast<ssize_t>(taken);
}

ssize_t SocketStream::write(const char* bytes, size_t size) {
  size_t sent = 0;
  while (sent < size) {
    const ssize_t more = send(socket_, bytes + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (more > 0) {
      sent += static_cast<size_t>(more);
    } else if (more == 0 || (errno != EAGAIN && errno != EINTR) ||
               !Await(POLLOUT, patience_.silence)) {
      return -1;
    }
  }
  return static_cast<ssize_t>(size);
}

void SocketStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  Name(getpeername, socket_, ip, port);
}

void SocketStream::get_local_ip_and_port(std::string& ip, int& port) const {
  Name(getsockname, socket_, ip, port);
}

}  // namespace wattle::http
