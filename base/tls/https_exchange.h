// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// One request over HTTPS to a server that the caller judges: for programs that have no certificate
// yet. Blocks. Thread-safe.
#ifndef WATTLE_BASE_TLS_HTTPS_EXCHANGE_H_
#define WATTLE_BASE_TLS_HTTPS_EXCHANGE_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace wattle::tls {

struct HttpsRequest {
  std::string address;  // HOST:PORT
  std::string path;     // "/enroll"; the method is POST.
  std::string content_type;
  std::string body;
  absl::Duration patience = absl::Seconds(30);  // For all of it.
};

struct HttpsAnswer {
  int status = 0;  // HTTP status code.
  // The value of the header Wattle-Status, a canonical code; 0 without it.
  int code = 0;
  std::string body;
};

// judge: is given the server's chain in PEM, its own certificate first, before a byte of the
// request is sent. Errors: what judge says; kUnavailable where nobody answers, with a reason in a
// few words; kDeadlineExceeded; kUnimplemented for a server that ends the connection instead of an
// answer, as one does that speaks HTTP/2 only.
absl::StatusOr<HttpsAnswer> Exchange(
    const HttpsRequest& request,
    const std::function<absl::Status(const std::string& chain_pem)>& judge);

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_HTTPS_EXCHANGE_H_
