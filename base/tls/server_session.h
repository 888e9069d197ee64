// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// TLS of the ports, of HTTPS and of gRPC: TLS 1.3 only. Over HTTPS a client's certificate is asked
// for and not required; a client that wants HTTP/2, as gRPC's do, gets no further than the
// handshake without one. The handshake checks the certificate's signature only: whoever answers the
// request judges time, revocation and role. OpenSSL does all of it.
#ifndef WATTLE_BASE_TLS_SERVER_SESSION_H_
#define WATTLE_BASE_TLS_SERVER_SESSION_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "base/tls/credentials.h"

struct ssl_st;
struct ssl_ctx_st;

namespace wattle::tls {

// Whether a client that begins with this byte speaks TLS: the type of a handshake's record. No
// method of HTTP begins so.
inline bool BeginsTls(char first_byte) {
  return first_byte == 0x16;
}

// The certificate in PEM that the peer of a connection showed; empty: none.
std::string PeerCertificate(const ssl_st* connection);
// The first URI of that certificate's names; empty: it has none.
std::string PeerUri(const ssl_st* connection);

// What a port speaks within TLS, by the extension ALPN. A client that names no protocol speaks
// HTTP/1.1; where only that is spoken, whatever a client names is not looked at.
enum class Protocols { kHttp1, kHttp2AndHttp1 };

// A connection of which this side is the server, on a socket that does not block. One thread.
class ServerSession {
 public:
  // What one try did. bytes > 0: so many were moved, and 1 for a handshake that is complete. wants:
  // with no bytes, POLLIN or POLLOUT, for which to wait before the next try; 0: the connection has
  // ended.
  struct Step {
    ssize_t bytes = 0;
    int16_t wants = 0;
  };

  explicit ServerSession(ssl_st* connection) : connection_(connection) {}
  // Tells the peer that nothing follows, if that can be said at once.
  ~ServerSession();
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  Step Handshake();
  // After the handshake: the client chose HTTP/2, and has shown a certificate.
  [[nodiscard]] bool is_http2() const;
  // The handshake ended because the client wanted HTTP/2 and showed no certificate.
  [[nodiscard]] bool lacks_certificate() const { return lacks_certificate_; }
  Step Read(char* bytes, size_t size);
  Step Write(const char* bytes, size_t size);
  [[nodiscard]] const ssl_st* connection() const { return connection_; }

 private:
  Step After(int result);

  ssl_st* const connection_;
  bool broken_ = false;  // Nothing may be said any more.
  bool lacks_certificate_ = false;
};

// What all connections of a port share. Thread-safe.
class ServerContext {
 public:
  // own: is looked at for each connection, so that a renewed certificate serves the next one.
  // client_roots: those that a client's certificate must lead to. Errors: kFailedPrecondition for
  // files that cannot be read or do not belong together.
  static absl::StatusOr<std::unique_ptr<ServerContext>> Open(
      const CertificateFiles& own, RootsSource client_roots,
      Protocols protocols = Protocols::kHttp1);
  ~ServerContext();
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  // socket: stays the caller's. Null: no memory.
  std::unique_ptr<ServerSession> Accept(int socket);

 private:
  // Tells one state of a file from another.
  struct FileState {
    uint64_t inode = 0;
    int64_t size = 0;
    int64_t changed_seconds = 0;
    int64_t changed_nanoseconds = 0;
    bool operator==(const FileState&) const = default;
  };

  ServerContext(const CertificateFiles& own, RootsSource client_roots, Protocols protocols)
      : own_(own), client_roots_(std::move(client_roots)), protocols_(protocols) {}
  static FileState StateOf(const std::string& path);
  // Replaces the context if the certificate's file or the roots are others than before. A file that
  // cannot be used leaves the context as it is.
  absl::Status ReadAgain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CertificateFiles own_;
  const RootsSource client_roots_;
  const Protocols protocols_;
  absl::Mutex mutex_;
  std::string roots_pem_ ABSL_GUARDED_BY(mutex_);  // In the context.
  FileState state_ ABSL_GUARDED_BY(mutex_);
  ssl_ctx_st* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_SERVER_SESSION_H_
