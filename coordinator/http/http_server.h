// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The HTTP server: /metrics, /healthz, /readyz, /sd (Prometheus service discovery of the workers)
// and /api/v1/… with the protocol's messages as JSON. Listens from Start on; until Serve is called
// only /healthz answers OK. Serves HTTPS; a caller presents a certificate of the fleet or a
// service's token, and one gate checks the access table before any handler. Thread-safe.
#ifndef WATTLE_COORDINATOR_HTTP_HTTP_SERVER_H_
#define WATTLE_COORDINATOR_HTTP_HTTP_SERVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "base/http/connection_limits.h"
#include "base/tls/credentials.h"
#include "base/tls/server_session.h"
#include "coordinator/access/access_table.h"
#include "coordinator/callers/callers.h"
#include "coordinator/http/host_names.h"
#include "coordinator/http/metrics.h"
#include "coordinator/runtime/api.h"
#include "wattle/v1/journal.pb.h"

namespace httplib {
struct Request;
struct Response;
}  // namespace httplib

namespace wattle::http {

class ThreadedServer;

struct Https {
  tls::CertificateFiles own;      // The coordinator's certificate.
  tls::RootsSource client_roots;  // The fleet's roots.
};

struct HttpOptions {
  std::string listen_address = "127.0.0.1:7411";  // Port 0: any free port.
  std::string version = {};
  // Names of this server besides addresses, localhost, the machine's own names and the name in
  // listen_address. A request that calls the server by another name is refused.
  std::vector<std::string> names = {};
  std::optional<Https> https = {};  // None: HTTP, for a debugger.
  // Role of callers without certificate and token; none: strangers.
  std::optional<access::Role> nameless_role = {};
  ConnectionLimits limits = {};
};

class HttpServer {
 public:
  // Errors: kInvalidArgument for an address that is not HOST:PORT; kUnavailable, with the remedy,
  // when the server cannot listen on the address; kFailedPrecondition for a certificate that cannot
  // be used; kInternal for a route without a row in the access table.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpOptions& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Called when the journal is replayed and gRPC listens. From now on /readyz answers OK. Both must
  // outlive Stop. callers: null with HTTP, where callers present no identity.
  void Serve(runtime::Api& api, const callers::Callers* callers) {
    callers_ = callers;
    api_ = &api;
  }
  void Stop();

  [[nodiscard]] const std::string& address() const { return address_; }  // The bound host:port.

 private:
  HttpServer(const HttpOptions& options, const std::string& listen_host,
             std::unique_ptr<tls::ServerContext> context);
  // Serves `path`, in which {NAME} matches one part, to callers that the access table admits.
  // fields: the allowed fields of its query.
  void On(const std::string& method, const std::string& path,
          std::function<void(const httplib::Request&, httplib::Response&)> handle,
          std::set<std::string> fields = {});
  absl::Status Route();
  [[nodiscard]] Surroundings SurroundingsNow() const;
  // Identifies the caller and checks that it may call the route, before any handler.
  [[nodiscard]] absl::StatusOr<callers::Caller> CallerOf(const httplib::Request& request,
                                                         absl::string_view route) const;
  // For the events of the caller's commands.
  [[nodiscard]] v1::EventCaller EventCallerOf(const httplib::Request& request,
                                              absl::string_view route) const;
  absl::Status Admit(const httplib::Request& request, absl::string_view route) const;
  // Counts a received body or a sent answer for the caller.
  void NoteMessage(const httplib::Request& request, absl::string_view route,
                   const std::string& body) const;
  // For the audit.
  void NoteRefusal(const httplib::Request& request, absl::string_view route,
                   const absl::Status& why) const;
  // Checks that the caller may call the route for an existing job.
  absl::Status CheckJob(const httplib::Request& request, absl::string_view route,
                        const std::string& job_id) const;
  // The projects for which the caller may call the route.
  [[nodiscard]] absl::StatusOr<core::Scope> ScopeOf(const httplib::Request& request,
                                                    absl::string_view route) const;
  // A service gets no prompts, and no names of models and data.
  [[nodiscard]] absl::StatusOr<v1::ListJobsResponse> ListJobs(
      const httplib::Request& request) const;
  // Checks that the caller may submit or plan a job of its project.
  absl::Status CheckProject(const callers::Caller& caller, absl::string_view route,
                            const v1::JobSpec& spec) const;
  bool Refuses(const httplib::Request& request, httplib::Response& response) const;
  // The value of the header Allow; empty: the page does not exist.
  [[nodiscard]] std::string AllowedMethods(const std::string& path) const;
  void RouteReads();
  void RoutePosts();
  template <typename Request, typename Handle>
  void RoutePost(const std::string& path, Handle handle);
  void RouteActions();

  const std::string version_;
  const std::string certificate_path_;  // The coordinator's own; empty: HTTP.
  const HostNames names_;
  const std::optional<access::Role> nameless_role_;
  const std::unique_ptr<tls::ServerContext> context_;        // Null: HTTP.
  absl::Status routed_;                                      // The first route without a row.
  std::vector<std::pair<std::string, std::string>> routes_;  // Method and path as passed to On.
  std::unique_ptr<ThreadedServer> server_;
  std::thread thread_;
  std::string address_;
  std::atomic<bool> ended_ = false;  // The listening thread's loop has ended.
  std::atomic<int> posts_ = 0;       // Posts that are being handled.
  std::atomic<const callers::Callers*> callers_ = nullptr;
  std::atomic<runtime::Api*> api_ = nullptr;
};

}  // namespace wattle::http

#endif  // WATTLE_COORDINATOR_HTTP_HTTP_SERVER_H_
