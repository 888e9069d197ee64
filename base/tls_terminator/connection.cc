// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls_terminator/connection.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace wattle {
namespace {

constexpr size_t kReadBytes = size_t{16} << 10;  // A record of TLS.
// Reads and writes of one connection before the next connection of its thread has its turn.
constexpr int kMovesOfATurn = 32;
// A buffer that grew beyond this is given back once it is empty: most connections are quiet.
constexpr size_t kKeptBytes = 1024;

bool MayGoOn(ssize_t result) {
  return result < 0 && (errno == EAGAIN || errno == EINTR);
}

}  // namespace

void Connection::Pending::Take(size_t size) {
  begin += size;
  if (!empty()) {
    return;
  }
  begin = 0;
  if (bytes.capacity() > kKeptBytes) {
    std::string().swap(bytes);
  } else {
    bytes.clear();
  }
}

Connection::Progress Connection::Handshake() {
  const tls::ServerSession::Step step = session_->Handshake();
  return step.bytes > 0 ? Progress::kDone : step.wants != 0 ? Progress::kWaits : Progress::kEnded;
}

void Connection::Begin(UniqueDescriptor server, std::string field) {
  server_ = std::move(server);
  checker_.emplace(std::move(field));
}

Connection::Progress Connection::Pump(Monotonic now) {
  for (int move = 0; move < kMovesOfATurn; ++move) {
    const bool wrote_server = WriteServer();
    const bool read_client = ReadClient(now);
    const bool wrote_client = WriteClient();
    const bool read_server = ReadServer();
    const bool client_is_through = client_ended_ && to_server_.empty();
    const bool server_is_through = server_ended_ && to_client_.empty();
    if (broken_ || !breach_.ok() || client_is_through || server_is_through) {
      return Progress::kEnded;
    }
    if (!wrote_server && !read_client && !wrote_client && !read_server) {
      return Progress::kWaits;
    }
  }
  return Progress::kDone;
}

bool Connection::ReadClient(Monotonic now) {
  if (!client_readable_ || client_ended_ || !to_server_.empty()) {
    return false;
  }
  std::array<char, kReadBytes> bytes;
  const tls::ServerSession::Step step = session_->Read(bytes.data(), bytes.size());
  if (step.bytes <= 0) {
    client_readable_ = false;
    client_ended_ = step.wants == 0;
    return false;
  }
  breach_ = checker_->Take({bytes.data(), static_cast<size_t>(step.bytes)}, now, to_server_.bytes);
  return true;
}

bool Connection::WriteServer() {
  if (to_server_.empty() || broken_) {
    return false;
  }
  const ssize_t sent =
      send(server_.get(), to_server_.bytes.data() + to_server_.begin,
           to_server_.bytes.size() - to_server_.begin, MSG_DONTWAIT | MSG_NOSIGNAL);
  awaits_server_ = MayGoOn(sent);
  if (sent <= 0) {
    // The server may have closed; what it said before still goes to the client.
    server_ended_ = server_ended_ || !awaits_server_;
    return false;
  }
  to_server_.Take(static_cast<size_t>(sent));
  return true;
}

bool Connection::ReadServer() {
  if (!server_readable_ || server_ended_ || !to_client_.empty()) {
    return false;
  }
  std::array<char, kReadBytes> bytes;
  const ssize_t got = recv(server_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  // After a read that was not full, epoll reports new bytes.
  server_readable_ = got == static_cast<ssize_t>(bytes.size()) || (got > 0 && server_hangs_up_);
  if (got <= 0) {
    server_ended_ = !MayGoOn(got);
    return false;
  }
  to_client_.bytes.append(bytes.data(), static_cast<size_t>(got));
  return true;
}

bool Connection::WriteClient() {
  if (to_client_.empty() || broken_) {
    return false;
  }
  const tls::ServerSession::Step step = session_->Write(to_client_.bytes.data() + to_client_.begin,
                                                        to_client_.bytes.size() - to_client_.begin);
  if (step.bytes <= 0) {
    broken_ = step.wants == 0;
    return false;
  }
  checker_->NoteAnswered(static_cast<size_t>(step.bytes));
  to_client_.Take(static_cast<size_t>(step.bytes));
  return true;
}

}  // namespace wattle
