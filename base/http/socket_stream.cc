// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/http/socket_stream.h"

#include <fcntl.h>
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

// What a call on a plain socket did.
tls::ServerSession::Step StepOf(ssize_t result, int16_t event) {
  if (result > 0) {
    return {.bytes = result};
  }
  return {.wants = result < 0 && (errno == EAGAIN || errno == EINTR) ? event : int16_t{0}};
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

template <typename Try>
bool SocketStream::Advance(Try&& once, absl::Duration silence, Step* done) {
  for (;;) {
    *done = once();
    if (done->bytes > 0) {
      return true;
    }
    if (done->wants == 0 || !Await(done->wants, silence)) {
      return false;
    }
  }
}

SocketStream::Step SocketStream::Receive(char* bytes, size_t size) {
  return session_ != nullptr ? session_->Read(bytes, size)
                             : StepOf(recv(socket_, bytes, size, MSG_DONTWAIT), POLLIN);
}

SocketStream::Step SocketStream::Send(const char* bytes, size_t size) {
  return session_ != nullptr
             ? session_->Write(bytes, size)
             : StepOf(send(socket_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL), POLLOUT);
}

bool SocketStream::Begin(tls::ServerContext* context) {
  if (context == nullptr) {
    return true;
  }
  Step done;
  char first = 0;
  in_handshake_ = true;
  if (!Advance([&] { return StepOf(recv(socket_, &first, 1, MSG_DONTWAIT | MSG_PEEK), POLLIN); },
               patience_.idle, &done)) {
    return false;
  }
  if (!tls::BeginsTls(first)) {
    return true;
  }
  const int flags = fcntl(socket_, F_GETFL);
  if (flags < 0 || fcntl(socket_, F_SETFL, flags | O_NONBLOCK) != 0) {
    return false;
  }
  session_ = context->Accept(socket_);
  return session_ != nullptr &&
         Advance([this] { return session_->Handshake(); }, patience_.silence, &done);
}

bool SocketStream::Fill(absl::Duration silence) {
  if (begin_ != end_) {
    return true;
  }
  Step done;
  if (!Advance([this] { return Receive(buffer_.data(), buffer_.size()); }, silence, &done)) {
    return false;
  }
  begin_ = 0;
  end_ = static_cast<size_t>(done.bytes);
  return true;
}

bool SocketStream::AwaitRequest() {
  if (!in_handshake_) {
    waited_ = absl::ZeroDuration();
  }
  in_handshake_ = false;
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
    Step done;
    if (!Advance([&] { return Send(bytes + sent, size - sent); }, patience_.silence, &done)) {
      return -1;
    }
    sent += static_cast<size_t>(done.bytes);
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
