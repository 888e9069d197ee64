// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// HTTP on one port: /metrics, /healthz, /readyz, /sd (Prometheus service discovery of the workers)
// and /api/v1/… with the protocol's messages as JSON. Listens from Start on; until Serve is called
// only /healthz is well. Thread-safe.
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
  std::string listen_address = "127.0.0.1:7411";  // Port 0: any free one.
  std::string version;
};

class HttpServer {
 public:
  // kInvalidArgument: not HOST:PORT. kUnavailable: the address cannot be listened on; says what to
  // do.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpOptions& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // The journal is replayed and gRPC listens: /readyz is well from now on. api: outlives Stop.
  void Serve(runtime::Api& api) { api_ = &api; }
  void Stop();

  [[nodiscard]] const std::string& address() const { return address_; }  // host:port, as bound.

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
  std::atomic<bool> ended_ = false;  // The listening thread's loop.
  std::atomic<int> posts_ = 0;       // Being handled now.
  std::atomic<runtime::Api*> api_ = nullptr;
};

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_HTTP_SERVER_H_
