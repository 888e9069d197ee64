// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who may read the worker's page: whoever shows a certificate of the fleet, or a token whose
// SHA-256 stands in a file. The worker asks nobody, so that it also answers without a link: it
// knows no revocation, and no end of a token. Thread-safe.
#ifndef WATTLE_WORKER_AGENT_METRICS_GATE_H_
#define WATTLE_WORKER_AGENT_METRICS_GATE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::agent {

// The SHA-256 of tokens, 64 hex digits at the begin of each line, as sha256sum prints them. Empty
// lines and those that begin with # say nothing. Errors: of the file; kInvalidArgument for a file
// without any, or with another line.
absl::StatusOr<std::vector<std::string>> ReadTokenHashes(const std::string& path);

class MetricsGate {
 public:
  // token_file: read at each request; empty: no token will do. floor: it cannot be earlier now.
  // clock: must outlive the object.
  MetricsGate(std::string token_file, absl::Time floor, const Clock& clock)
      : token_file_(std::move(token_file)), floor_(floor), clock_(clock) {}

  // certificate_pem: whose signature the handshake has checked; empty: none. authorization: of the
  // request's header; empty: none. Errors: kUnauthenticated with the reason and the remedy.
  [[nodiscard]] absl::Status Admit(const std::string& certificate_pem,
                                   absl::string_view authorization) const;

 private:
  [[nodiscard]] absl::Status AdmitToken(absl::string_view authorization) const;

  const std::string token_file_;
  const absl::Time floor_;
  const Clock& clock_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_METRICS_GATE_H_
