// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Access to the worker's page: for a certificate of the fleet, or for a token whose SHA-256 is in a
// file. The worker checks both locally, so that it also answers without a link, and therefore it
// knows no revocation, and no end of a token. Thread-safe.
#ifndef WATTLE_WORKER_AGENT_METRICS_AUTHORIZER_H_
#define WATTLE_WORKER_AGENT_METRICS_AUTHORIZER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::agent {

// Reads the SHA-256 of tokens: 64 hex digits at the beginning of each line, the format of
// sha256sum. Empty lines and comments with # are ignored. Errors: those of the file;
// kInvalidArgument for any other line.
absl::StatusOr<std::vector<std::string>> ReadTokenHashes(const std::string& path);

class MetricsAuthorizer {
 public:
  struct Rules {
    std::string token_file;  // read at each request with a token; empty: no token is accepted
    absl::Time floor;        // the present time is not earlier
    // Receives a fault of the file once until the fault changes. Called from any thread; may be
    // null.
    std::function<void(const std::string&)> note;
  };
  // Reads the file once, so that the log tells a fault before the first request. clock: must
  // outlive the object.
  MetricsAuthorizer(Rules rules, const Clock& clock);

  // certificate_pem: its signature was checked in the handshake; empty: none. authorization: the
  // request's header; empty: none. Errors: kUnauthenticated with the reason and the remedy.
  [[nodiscard]] absl::Status Admit(const std::string& certificate_pem,
                                   absl::string_view authorization) const;

 private:
  [[nodiscard]] absl::Status AdmitToken(absl::string_view authorization) const;
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> ReadAndTell() const;

  const Rules rules_;
  const Clock& clock_;
  mutable absl::Mutex mutex_;
  mutable std::string told_ ABSL_GUARDED_BY(mutex_);  // the file's latest fault; empty: none
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_METRICS_AUTHORIZER_H_
