// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The HTTP server: /metrics, /healthz, /readyz, /sd (Prometheus service discovery of the workers)
// and /api/v1/… with the protocol's messages as JSON. Listens from Start on; until Serve is called
// only /healthz answers OK. Thread-safe.
#ifndef WATTLE_COORDINATOR_HTTP_HTTP_SERVER_H_
#define WATTLE_COORDINATOR_HTTP_HTTP_SERVER_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"

#include "coordinator/runtime/api.h"

namespace httplib {
class Server;
}  // namespace httplib

namespace wattle::http {

struct HttpOptions {
  std::string listen_address = "127.0.0.1:7411";  // Port 0: any free port.
  std::string version;
};

class HttpServer {
 public:
  // Errors: kInvalidArgument for an address that is not HOST:PORT; kUnavailable, with the remedy,
  // when the server cannot listen on the address.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpOptions& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Called when the journal is replayed and gRPC listens. From now on /readyz answers OK. api: must
  // outlive Stop.
  void Serve(runtime::Api& api) { api_ = &api; }
  void Stop();

  [[nodiscard]] const std::string& address() const { return address_; }  // The bound host:port.

 private:
  explicit HttpServer(const HttpOptions& options);
  void Route();
  void RouteReads();
  void RoutePosts();
  template <typename Request, typename Handle>
  void RoutePost(const std::string& path, Handle handle);
  void RouteActions();

  const std::string version_;
  std::unique_ptr<httplib::Server> server_;
  std::thread thread_;
  std::string address_;
  std::atomic<bool> ended_ = false;  // The listening thread's loop has ended.
  std::atomic<int> posts_ = 0;       // Posts that are being handled.
  std::atomic<runtime::Api*> api_ = nullptr;
};

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_HTTP_SERVER_H_
