// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/server_options.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "coordinator/access/access_table.h"
#include "coordinator/backup.h"
#include "coordinator/memory/estimate_memory.h"

namespace wattle {

std::string LocalSocket(const std::string& data_directory) {
  return absl::StrCat(data_directory, "/admin.sock");
}

runtime::RuntimeOptions RuntimeOptionsOf(const CoordinatorOptions& options,
                                         const ServiceManager& manager) {
  runtime::RuntimeOptions runtime_options;
  runtime_options.journal_path = absl::StrCat(options.data_directory, "/", kJournalFile);
  runtime_options.planning.estimate_memory = EstimateJobMemory;
  runtime_options.planning.transfers_per_site = options.transfers_per_site;
  runtime_options.unreachable_after = absl::Seconds(options.unreachable_seconds);
  runtime_options.retention.age_max = absl::Hours(24) * options.keep_ended_days;
  runtime_options.retention.jobs_max = options.keep_ended_jobs;
  if (options.history_days > 0) {
    runtime_options.history_age_max = absl::Hours(24) * options.history_days;
  }
  runtime_options.snapshot_every_events = options.snapshot_every_events;
  runtime_options.impossible_grace = absl::Seconds(options.impossible_grace_seconds);
  runtime_options.hold_impossible = options.impossible_jobs == "hold";
  if (manager.alive_interval() < absl::InfiniteDuration()) {
    runtime_options.on_alive = [&manager] { manager.Alive(); };
  }
  return runtime_options;
}

http::HttpOptions HttpOptionsOf(const CoordinatorOptions& options,
                                const authority::Authority* authority) {
  http::HttpOptions http = {.listen_address = options.http_address,
                            .version = WATTLE_VERSION,
                            .names = options.http_names,
                            .nameless_role = access::ParseRole(options.http_role)};
  if (authority != nullptr) {
    http.https = {.own = authority->server_files(),
                  .client_roots = [authority] { return authority->roots_pem(); }};
  } else if (!http.nameless_role.has_value()) {
    http.nameless_role = access::Role::kAdmin;
  }
  return http;
}

rpc::ServerOptions RpcOptionsOf(const CoordinatorOptions& options, authority::Authority* authority,
                                const std::shared_ptr<callers::CallLimits>& limits,
                                const rpc::AccessService::Keep& keep) {
  return {.listen_address = options.listen_address,
          .heartbeat_interval = absl::Seconds(options.heartbeat_seconds),
          .version = WATTLE_VERSION,
          .authority = authority,
          .limits = limits,
          .connections_per_address = options.connections_per_address,
          .transfers_per_site = options.transfers_per_site,
          .moved_to = options.moved_to,
          .local_socket = authority == nullptr ? "" : LocalSocket(options.data_directory),
          .keep_access = keep};
}

}  // namespace wattle
