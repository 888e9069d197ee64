// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's own /metrics page, over HTTPS with the board's certificate. The server builds the
// page from the latest status when Prometheus asks. Update is thread-safe.
#ifndef WATTLE_WORKER_AGENT_METRICS_SERVER_H_
#define WATTLE_WORKER_AGENT_METRICS_SERVER_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "base/http/connection_limits.h"
#include "base/tls/credentials.h"
#include "base/tls/server_session.h"
#include "telemetry/export/metrics_page.h"
#include "wattle/v1/device.pb.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/device_readings.h"
#include "worker/agent/metrics_authorizer.h"

namespace httplib {
struct Request;
struct Response;
}  // namespace httplib
namespace wattle::http {
class ThreadedServer;
}

namespace wattle::agent {

// Traffic between this board and others of its site, since the worker started.
struct PeerCounters {
  int64_t fetched_bytes = 0;
  int64_t served_bytes = 0;
  int64_t wrong_boards = 0;  // boards that sent wrong bytes
};

struct WorkerStatus {
  v1::DeviceInfo info;
  EnergyOrigin origin;
  bool has_power_sensor = false;
  v1::Heartbeat heartbeat;
  v1::EnergyLedger ledger;
  CoreCounters counters;
  PeerCounters peers;
  bool connected = false;
  Monotonic now;  // device time
  std::vector<SourceStatus> sources;
  std::vector<size_t> hung;    // sources whose present read does not return
  absl::Duration suspended{};  // since the process started, like clock_steps
  int64_t clock_steps = 0;
};

// Adds a status to the page. docs/metrics.md describes each metric.
void AddStatus(const WorkerStatus& status, telemetry::MetricsPage& page);

class MetricsServer {
 public:
  struct Https {
    tls::CertificateFiles own;
    tls::RootsSource client_roots;  // Those that a reader's certificate must lead to.
    MetricsAuthorizer::Rules rules;
  };
  struct Options {
    std::string address;              // host:port; port 0: any free port
    std::optional<Https> https = {};  // none: plain HTTP for a debugger
    // Prometheus makes a request every few seconds, over one connection.
    http::ConnectionLimits limits = {.connections_max = 16, .patience = {}};
  };
  // clock: must outlive the server. Errors: kInvalidArgument for an invalid address;
  // kFailedPrecondition if the port is taken or the certificate cannot be used.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const Options& options,
                                                              const Clock& clock);
  ~MetricsServer();

  [[nodiscard]] const std::string& address() const { return address_; }  // with the real port
  void Update(WorkerStatus status);

 private:
  MetricsServer() = default;
  void Route();
  // False: the request was answered with the reason.
  bool Admits(const httplib::Request& request, httplib::Response& response) const;

  std::unique_ptr<tls::ServerContext> context_;  // Null, like the gate: HTTP.
  std::unique_ptr<MetricsAuthorizer> authorizer_;
  std::unique_ptr<http::ThreadedServer> server_;
  std::string address_;
  std::atomic<bool> ended_{false};  // the listening thread's loop has ended
  std::thread thread_;
  absl::Mutex mutex_;
  WorkerStatus status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_METRICS_SERVER_H_
