// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One connection of a TlsTerminator: the handshake, then the client's checked bytes to the server
// and the server's to the client. Waits for nothing: what one side does not take yet is not read
// from the other, so that it holds little memory however slow either is. One thread.
#ifndef WATTLE_BASE_TLS_TERMINATOR_CONNECTION_H_
#define WATTLE_BASE_TLS_TERMINATOR_CONNECTION_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"

#include "base/clock.h"
#include "base/http2/frame_checker.h"
#include "base/tls/server_session.h"
#include "base/unique_descriptor.h"

namespace wattle {

class Connection {
 public:
  // kDone: the handshake is complete; of Pump, others should have their turn before this one goes
  // on. kWaits: until one of the sockets is ready.
  enum class Progress { kWaits, kDone, kEnded };

  // Both sockets do not block.
  Connection(UniqueDescriptor client, std::unique_ptr<tls::ServerSession> session)
      : client_(std::move(client)), session_(std::move(session)) {}

  Progress Handshake();
  // After the handshake. field: see FrameChecker.
  void Begin(UniqueDescriptor server, std::string field);
  Progress Pump(Monotonic now);
  // A socket may have something to read; without, nothing is read from it.
  void NoteClientReadable() { client_readable_ = true; }
  void NoteServerReadable(bool hangs_up) {
    server_readable_ = true;
    server_hangs_up_ = server_hangs_up_ || hangs_up;
  }
  // Pump wants to be called once the server takes more.
  [[nodiscard]] bool awaits_server() const { return awaits_server_; }

  // Why Pump ended a connection whose client broke a rule of HTTP/2; else ok.
  [[nodiscard]] const absl::Status& breach() const { return breach_; }
  [[nodiscard]] bool has_begun() const { return checker_.has_value(); }
  [[nodiscard]] const tls::ServerSession& session() const { return *session_; }
  [[nodiscard]] int client() const { return client_.get(); }
  [[nodiscard]] int server() const { return server_.get(); }
  // The connection is somebody else's from now on.
  std::unique_ptr<tls::ServerSession> ReleaseSession() { return std::move(session_); }
  int ReleaseClient() { return client_.release(); }

 private:
  // Bytes on their way to one side.
  struct Pending {
    std::string bytes;
    size_t begin = 0;  // What is before was taken.
    [[nodiscard]] bool empty() const { return begin == bytes.size(); }
    void Take(size_t size);
  };

  // Each says whether it moved something.
  bool ReadClient(Monotonic now);
  bool WriteServer();
  bool ReadServer();
  bool WriteClient();

  UniqueDescriptor client_;
  std::unique_ptr<tls::ServerSession> session_;  // Ends before client_ is closed.
  UniqueDescriptor server_;
  std::optional<http2::FrameChecker> checker_;
  Pending to_server_;
  Pending to_client_;
  bool client_readable_ = true;
  bool server_readable_ = true;
  bool server_hangs_up_ = false;  // Its end follows what it has said.
  bool awaits_server_ = false;
  bool client_ended_ = false;
  bool server_ended_ = false;
  bool broken_ = false;  // One side takes nothing any more.
  absl::Status breach_;
};

}  // namespace wattle

#endif  // WATTLE_BASE_TLS_TERMINATOR_CONNECTION_H_
