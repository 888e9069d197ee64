// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The flags of wattle-coordinator itself. The flags of its commands (backup, restore, access) stand
// in main.cc.
#ifndef WATTLE_COORDINATOR_OPTIONS_H_
#define WATTLE_COORDINATOR_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"

#include "coordinator/authority/operator_issuer.h"
#include "coordinator/remote_write/remote_writer.h"

namespace wattle {

struct CoordinatorOptions {
  std::string data_directory;
  std::string listen_address = "127.0.0.1:7410";
  int connections_per_address = 1024;
  int transfers_per_site = 2;
  double renew_after_expiry_days = 400;
  std::string http_address = "127.0.0.1:7411";
  std::vector<std::string> http_names;
  std::string http_role = "none";
  bool plaintext_loopback = false;
  std::string moved_to;
  double heartbeat_seconds = 1.0;
  double unreachable_seconds = 10.0;
  double keep_ended_days = 7;
  int64_t keep_ended_jobs = 10'000;
  double history_days = 730;  // 0: for ever.
  int64_t snapshot_every_events = 20'000;
  authority::OperatorIssuer issuer;
  std::string signers;            // Folder of public keys; empty: every model may be used.
  double artifact_quota_gib = 0;  // 0: no quota.
  // Free space that uploads leave for the journal's commits.
  int64_t disk_reserve_mib = 256;
  double impossible_grace_seconds = 600;
  std::string impossible_jobs = "fail";
  std::string remote_write;  // Empty: no remote write.
  remote_write::Credentials remote_write_credentials;
};

// Declares the flags, in the order in which --help lists them. `options` must outlive the parsing.
void AddRunFlags(CLI::App& app, CoordinatorOptions& options);

// Checks that the flags fit together. Errors: kInvalidArgument, with the flag and the remedy.
absl::Status Validate(const CoordinatorOptions& options);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_OPTIONS_H_
