// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A connection's bytes as the HTTP library reads and writes them, with an end to every wait for the
// peer: for each silence, and for all silences of one request together, so that a peer that drips
// bytes is given up too. The handshake of TLS belongs to the first request. One thread uses a
// stream.
#ifndef WATTLE_BASE_HTTP_SOCKET_STREAM_H_
#define WATTLE_BASE_HTTP_SOCKET_STREAM_H_

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "httplib.h"

#include "base/http/connection_limits.h"
#include "base/tls/server_session.h"

namespace wattle::http {

class SocketStream final : public httplib::Stream {
 public:
  // socket: connected; stays the caller's. on_wait is called with true before the stream waits for
  // the peer and with false after it.
  SocketStream(int socket, const PeerPatience& patience, std::function<void(bool)> on_wait)
      : socket_(socket), patience_(patience), on_wait_(std::move(on_wait)) {}

  // With a context: agrees on TLS if the peer begins so. A peer that speaks plain text is read as
  // such, for whoever serves it to tell it so: connection() is then null. False: the connection has
  // ended.
  bool Begin(tls::ServerContext* context);
  // The handshake is complete, and the socket does not block.
  void Begin(std::unique_ptr<tls::ServerSession> session) { session_ = std::move(session); }
  // Null: plain text.
  [[nodiscard]] const ssl_st* connection() const {
    return session_ == nullptr ? nullptr : session_->connection();
  }

  // Waits for the first byte of the next request. False: there is none.
  bool AwaitRequest();

  [[nodiscard]] bool is_readable() const override;
  [[nodiscard]] bool is_writable() const override;
  // -1, as the library wants it, also when the patience is at its end or the request's line and
  // headers are longer than 64 KiB.
  ssize_t read(char* bytes, size_t size) override;
  // Writes all, or returns -1.
  ssize_t write(const char* bytes, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  [[nodiscard]] int socket() const override { return socket_; }

 private:
  using Step = tls::ServerSession::Step;

  bool Await(int16_t event, absl::Duration silence);
  // Tries until bytes were moved. False: the connection has ended, or the patience.
  template <typename Try>
  bool Advance(Try&& once, absl::Duration silence, Step* done);
  Step Receive(char* bytes, size_t size);
  Step Send(const char* bytes, size_t size);
  bool Fill(absl::Duration silence);
  bool HeadIsTooLong(const char* bytes, size_t size);

  const int socket_;
  const PeerPatience patience_;
  const std::function<void(bool)> on_wait_;
  std::unique_ptr<tls::ServerSession> session_;  // Null: plain text.
  absl::Duration waited_;                        // For this request.
  bool in_handshake_ = false;  // Until the first request begins, which goes on with that wait.
  size_t head_bytes_ = 0;      // Read so far of this request's head.
  int line_ends_ = 0;          // In a row, as far as read; 2: the head is at its end.
  std::array<char, 4096> buffer_ = {};
  size_t begin_ = 0;  // What is unread of buffer_.
  size_t end_ = 0;
};

}  // namespace wattle::http

#endif  // WATTLE_BASE_HTTP_SOCKET_STREAM_H_
