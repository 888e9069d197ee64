// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Answers those who have no certificate yet: the one request POST /enroll over HTTP/1.1, on
// connections of the gRPC port whose TLS the terminator has begun. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_ENROLMENT_SERVER_H_
#define WATTLE_COORDINATOR_RPC_ENROLMENT_SERVER_H_

#include <deque>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/http/threaded_server.h"
#include "base/tls/server_session.h"
#include "coordinator/rpc/access_service.h"

namespace wattle::rpc {

class EnrolmentServer {
 public:
  // access: must outlive the server.
  explicit EnrolmentServer(AccessService& access);
  // Answers what it is answering, and ends the rest.
  ~EnrolmentServer();
  EnrolmentServer(const EnrolmentServer&) = delete;
  EnrolmentServer& operator=(const EnrolmentServer&) = delete;

  // Does not wait. Closes the connection at once where too many wait for their turn.
  void Take(int socket, std::unique_ptr<tls::ServerSession> session);

 private:
  void Run();

  AccessService& access_;
  http::ThreadedServer server_;
  absl::Mutex mutex_;
  std::deque<http::Accepted> accepted_ ABSL_GUARDED_BY(mutex_);
  bool ends_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // Gives the server its connections, which may wait for room.
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_ENROLMENT_SERVER_H_
