// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/metrics_server.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <httplib.h>

#include "base/http/threaded_server.h"
#include "base/status_macros.h"
#include "proto/state_names.h"
#include "telemetry/export/device_metrics.h"
#include "telemetry/export/metrics_page.h"

namespace wattle::agent {
namespace {

constexpr int kUnauthorized = 401;  // RFC 9110, 15.5.2

const char* StateLabel(v1::AttemptState state) {
  switch (state) {
    case v1::ATTEMPT_STATE_FINISHED:
      return "finished";
    case v1::ATTEMPT_STATE_FAILED:
      return "failed";
    case v1::ATTEMPT_STATE_SUPERSEDED:
      return "superseded";
    default:
      return "other";
  }
}

void AddDevice(const WorkerStatus& status, const telemetry::MetricLabels& device,
               telemetry::MetricsPage& page) {
  const v1::Heartbeat& heartbeat = status.heartbeat;
  const std::string source = LowerName(status.origin.source);
  const std::string emulated = status.info.emulated() ? "true" : "false";
  page.Gauge("wattle_device_info", "What the device is; always 1.",
             {{"device", status.info.name()},
              {"device_id", status.info.device_id()},
              {"device_class", status.info.device_class()},
              {"emulated", emulated},
              {"source", source},
              {"scope", status.origin.scope},
              {"version", status.info.worker_version()}},
             1);
  telemetry::AddHeartbeat(status.info, heartbeat, source, status.has_power_sensor, page);
  const v1::EnergyLedger& ledger = status.ledger;
  if (status.has_power_sensor) {
    const telemetry::MetricLabels labels = telemetry::MeasuredLabels(status.info, source);
    for (const auto& [use, joules] : {std::pair("attempt", ledger.attempt_energy_joules()),
                                      std::pair("idle", ledger.idle_energy_joules()),
                                      std::pair("overhead", ledger.overhead_energy_joules())}) {
      telemetry::MetricLabels use_labels = labels;
      use_labels.emplace_back("use", use);
      page.Counter("wattle_device_energy_use_joules_total",
                   "The same energy by what it was used for.", use_labels, joules);
    }
    page.Counter("wattle_device_boot_energy_joules_total",
                 "Energy measured since the board booted.", labels,
                 status.counters.energy_since_boot.value());
  }
  page.Counter("wattle_device_energy_missing_joules_total",
               "Upper estimate for time without samples; a model, not measured.", device,
               ledger.missing_energy_joules());
}

// The value of a reading for its metric; nullopt: none.
std::optional<double> MetricOf(const telemetry::Value& value) {
  if (const auto* power = std::get_if<Watts>(&value)) {
    return power->value();
  }
  if (const auto* count = std::get_if<telemetry::EnergyCount>(&value)) {
    return count->value.value();
  }
  if (const auto* temperature = std::get_if<Celsius>(&value)) {
    return temperature->value();
  }
  if (const auto* charge = std::get_if<telemetry::ChargeState>(&value)) {
    return charge->state_of_charge.value();
  }
  if (const auto* throttling = std::get_if<telemetry::Throttling>(&value)) {
    return throttling->now ? 1 : 0;
  }
  if (const auto* supply = std::get_if<telemetry::UnderVoltage>(&value)) {
    return supply->now ? 1 : 0;
  }
  if (const auto* level = std::get_if<telemetry::Level>(&value)) {
    return level->value;
  }
  if (const auto* tally = std::get_if<telemetry::Tally>(&value)) {
    return tally->value;
  }
  return std::nullopt;
}

// Adds the metrics of a source: one reading of each channel, while the reading is recent.
void AddSource(const SourceStatus& source, bool hung, Monotonic now,
               const telemetry::MetricLabels& device, telemetry::MetricsPage& page) {
  telemetry::MetricLabels labels = device;
  labels.emplace_back("sensor", source.info.name);
  const absl::Duration age_max = std::max(3 * source.info.cadence, policy::kReadingAgeMax);
  const bool answers = !hung && source.answered_at && now - *source.answered_at <= age_max;
  page.Gauge("wattle_sensor_up", "1 while the sensor answers.", labels, answers ? 1 : 0);
  page.Gauge("wattle_sensor_measures_device",
             "1 for the sensor whose readings are the device's power now.", labels,
             source.is_power_source ? 1 : 0);
  page.Gauge("wattle_sensor_stuck",
             "1 while the sensor tells one value although the true one has moved.", labels,
             source.stuck_power.empty() && source.stuck_charge.empty() ? 0 : 1);
  page.Counter("wattle_sensor_errors_total", "Readings that failed.", labels,
               static_cast<double>(source.errors));
  for (size_t i = 0; i < source.latest.size(); ++i) {
    const std::optional<telemetry::Reading>& reading = source.latest[i];
    const telemetry::Channel& channel = source.info.channels[i];
    if (!reading || now - reading->taken_at > age_max) {
      continue;
    }
    telemetry::MetricLabels series = labels;
    series.emplace_back("channel", channel.name);
    const double value = MetricOf(reading->value).value_or(0);
    if (std::holds_alternative<telemetry::EnergyCount>(reading->value) ||
        std::holds_alternative<telemetry::Tally>(reading->value)) {
      page.Counter(channel.metric, channel.help, series, value);
    } else {
      page.Gauge(channel.metric, channel.help, series, value);
    }
  }
}

void AddPeers(const PeerCounters& peers, const telemetry::MetricLabels& device,
              telemetry::MetricsPage& page) {
  for (const auto& [direction, bytes] :
       {std::pair("fetched", peers.fetched_bytes), std::pair("served", peers.served_bytes)}) {
    telemetry::MetricLabels labels = device;
    labels.emplace_back("direction", direction);
    page.Counter("wattle_worker_peer_bytes_total",
                 "Bytes of artifacts between this board and others of its site.", labels,
                 static_cast<double>(bytes));
  }
  page.Counter("wattle_worker_peer_refused_total",
               "Fetches in which a board of the site sent wrong bytes, and was asked no more.",
               device, static_cast<double>(peers.wrong_boards));
}

}  // namespace

void AddStatus(const WorkerStatus& status, telemetry::MetricsPage& page) {
  const telemetry::MetricLabels device = telemetry::DeviceLabels(status.info);
  AddDevice(status, device, page);
  page.Counter("wattle_worker_tokens_total", "Tokens processed, padding included.", device,
               static_cast<double>(status.counters.tokens));
  for (const v1::AttemptState state :
       {v1::ATTEMPT_STATE_FINISHED, v1::ATTEMPT_STATE_FAILED, v1::ATTEMPT_STATE_SUPERSEDED}) {
    const auto count = status.counters.attempts.find(state);
    telemetry::MetricLabels labels = device;
    labels.emplace_back("state", StateLabel(state));
    page.Counter("wattle_worker_attempts_total", "Attempts that ended, by how.", labels,
                 count == status.counters.attempts.end() ? 0 : static_cast<double>(count->second));
  }
  page.Gauge("wattle_worker_attempt_running", "1 while an attempt holds the device.", device,
             status.counters.attempt_running ? 1 : 0);
  page.Gauge("wattle_worker_connected", "1 while the coordinator is reached.", device,
             status.connected ? 1 : 0);
  page.Gauge("wattle_worker_spooled_reports", "Reports not yet acknowledged.", device,
             static_cast<double>(status.counters.spooled_reports));
  page.Gauge("wattle_worker_spool_repaired",
             "1 if reports may have been lost: the spool was found damaged since the start.",
             device, status.counters.spool_repaired ? 1 : 0);
  page.Counter("wattle_worker_implausible_readings_total",
               "Power readings that no such device can give; their time counts as missing.", device,
               static_cast<double>(status.ledger.implausible_readings()));
  page.Counter("wattle_worker_suspended_seconds_total",
               "Time for which the board was suspended while the worker ran.", device,
               absl::ToDoubleSeconds(status.suspended));
  page.Counter("wattle_worker_clock_steps_total", "How often the device's clock was set.", device,
               static_cast<double>(status.clock_steps));
  AddPeers(status.peers, device, page);
  for (size_t i = 0; i < status.sources.size(); ++i) {
    const bool hung = std::find(status.hung.begin(), status.hung.end(), i) != status.hung.end();
    AddSource(status.sources[i], hung, status.now, device, page);
  }
}

bool MetricsServer::Admits(const httplib::Request& request, httplib::Response& response) const {
  if (authorizer_ == nullptr) {
    return true;
  }
  const absl::Status may = authorizer_->Admit(tls::PeerCertificate(request.ssl),
                                              request.get_header_value("Authorization"));
  if (!may.ok()) {
    response.status = kUnauthorized;
    response.set_header("WWW-Authenticate", "Bearer");  // RFC 9110, 15.5.2
    response.set_content(absl::StrCat(may.message(), "\n"), "text/plain");
  }
  return may.ok();
}

void MetricsServer::Route() {
  server_->set_pre_routing_handler(
      [this](const httplib::Request& request, httplib::Response& response) {
        return context_ != nullptr && http::RefusePlainText(request, address_, response)
                   ? httplib::Server::HandlerResponse::Handled
                   : httplib::Server::HandlerResponse::Unhandled;
      });
  server_->Get("/metrics", [this](const httplib::Request& request, httplib::Response& response) {
    if (!Admits(request, response)) {
      return;
    }
    WorkerStatus status;
    {
      absl::MutexLock lock(&mutex_);
      status = status_;
    }
    telemetry::MetricsPage page;
    AddStatus(status, page);
    response.set_content(page.Text(), telemetry::MetricsPage::kContentType);
  });
  server_->Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("ok\n", "text/plain");
  });
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const Options& options,
                                                                    const Clock& clock) {
  const std::string& address = options.address;
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port < 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics=", address, ": wanted host:port, for example 127.0.0.1:0"));
  }
  const std::string host = address.substr(0, colon);
  std::unique_ptr<MetricsServer> server(new MetricsServer);
  if (options.https.has_value()) {
    const Https& https = *options.https;
    WATTLE_ASSIGN_OR_RETURN(server->context_,
                            tls::ServerContext::Open(https.own, https.client_roots));
    server->authorizer_ = std::make_unique<MetricsAuthorizer>(https.rules, clock);
  }
  server->server_ = std::make_unique<http::ThreadedServer>(options.limits, server->context_.get());
  // The default option would let a second worker bind the same port and take half of the requests.
  server->server_->set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  bool bound = false;
  if (port == 0) {
    port = server->server_->bind_to_any_port(host);
    bound = port > 0;
  } else {
    bound = server->server_->bind_to_port(host, port);
  }
  if (!bound) {
    return absl::FailedPreconditionError(
        absl::StrCat("--metrics=", address,
                     ": cannot listen there; is the port in use? Port 0 takes any free one"));
  }
  server->server_->WidenBacklog();
  server->address_ = absl::StrCat(host, ":", port);
  server->Route();
  server->thread_ = std::thread([self = server.get()] {
    self->server_->listen_after_bind();
    self->ended_ = true;
  });
  return server;
}

MetricsServer::~MetricsServer() {
  if (thread_.joinable()) {
    while (!server_->is_running() && !ended_) {
      std::this_thread::yield();  // A stop() before listen_after_bind() would be lost.
    }
    server_->stop();
    thread_.join();
  }
}

void MetricsServer::Update(WorkerStatus status) {
  absl::MutexLock lock(&mutex_);
  status_ = std::move(status);
}

}  // namespace wattle::agent
