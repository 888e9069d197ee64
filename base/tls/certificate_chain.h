// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A peer's chain of certificates, parsed once for all that is asked about it. Parsing takes OpenSSL
// longer than checking a signature, so what many chains share stays parsed: the issuers of those
// that were verified, and the roots. Thread-safe.
#ifndef WATTLE_BASE_TLS_CERTIFICATE_CHAIN_H_
#define WATTLE_BASE_TLS_CERTIFICATE_CHAIN_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "base/tls/certificate.h"

struct x509_st;
struct stack_st_X509;

namespace wattle::tls {

class CertificateChain {
 public:
  // The peer's certificate comes first in the text.
  explicit CertificateChain(absl::string_view pem);

  // As VerifyChain, CheckExpiry and ReadCertificate (certificate.h) say of a text.
  [[nodiscard]] absl::Status Verify(absl::string_view roots_pem, Use use) const;
  [[nodiscard]] absl::Status CheckExpiry(absl::Time at) const;
  [[nodiscard]] absl::StatusOr<CertificateFacts> Facts() const;

 private:
  std::shared_ptr<x509_st> leaf_;  // Null: the text has no certificate.
  std::string issuers_pem_;        // What follows the leaf.
  std::shared_ptr<stack_st_X509> issuers_;
};

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_CERTIFICATE_CHAIN_H_
