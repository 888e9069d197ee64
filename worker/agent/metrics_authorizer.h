// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who may read the worker's page: whoever shows a certificate of the fleet, or a token whose
// SHA-256 stands in a file. The worker asks nobody, so that it also answers without a link: it
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

// The SHA-256 of tokens, 64 hex digits at the begin of each line, as sha256sum prints them. Empty
// lines and those that begin with # say nothing. Errors: of the file; kInvalidArgument for another
// line.
absl::StatusOr<std::vector<std::string>> ReadTokenHashes(const std::string& path);

class MetricsAuthorizer {
 public:
  struct Rules {
    std::string token_file;  // Read at each request that shows a token; empty: no token will do.
    absl::Time floor;        // It cannot be earlier now.
    // Told a fault of the file, once until the fault changes. Called from any thread; may be null.
    std::function<void(const std::string&)> note;
  };
  // Reads the file once, so that the log tells a fault before the first request. clock: must
  // outlive the object.
  MetricsAuthorizer(Rules rules, const Clock& clock);

  // certificate_pem: whose signature the handshake has checked; empty: none. authorization: of the
  // request's header; empty: none. Errors: kUnauthenticated with the reason and the remedy.
  [[nodiscard]] absl::Status Admit(const std::string& certificate_pem,
                                   absl::string_view authorization) const;

 private:
  [[nodiscard]] absl::Status AdmitToken(absl::string_view authorization) const;
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> ReadAndTell() const;

  const Rules rules_;
  const Clock& clock_;
  mutable absl::Mutex mutex_;
  mutable std::string told_ ABSL_GUARDED_BY(mutex_);  // The file's latest fault; empty: none.
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_METRICS_AUTHORIZER_H_
