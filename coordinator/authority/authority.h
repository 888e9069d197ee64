// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fleet's certificate authority: a root key, which may be taken offline, and an issuing key,
// which signs. Both are made at the first start, in a folder that its user alone may read. Device
// and person certificates last 30 days, the coordinator's own 90. A crash at any step leaves files
// with which the next start goes on. Thread-safe.
//   root_key.pem root.pem issuer_key.pem issuer.pem server_key.pem server.pem
#ifndef WATTLE_COORDINATOR_AUTHORITY_AUTHORITY_H_
#define WATTLE_COORDINATOR_AUTHORITY_AUTHORITY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "base/tls/certificate.h"
#include "base/tls/credentials.h"

namespace wattle::authority {

inline constexpr absl::Duration kClientLife = absl::Hours(30 * 24);
inline constexpr absl::Duration kServerLife = absl::Hours(90 * 24);

// The name in every device's certificate by which whoever scrapes its page over HTTPS checks that a
// board of the fleet answers: the boards' addresses are not known to the authority.
inline constexpr char kWorkerDnsName[] = "wattle-worker";

// By what the coordinator is reached: for the names of its own certificate.
struct ServerNames {
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;
};

class Authority {
 public:
  // clock: must outlive the authority. Errors: of the files; kFailedPrecondition for a key that
  // others may read, or that does not belong to its certificate.
  static absl::StatusOr<std::unique_ptr<Authority>> Open(const std::string& directory,
                                                         const ServerNames& names,
                                                         const Clock& clock);

  // "f" and 16 hex digits of the root's key; and the 64 digits by which a token names the root.
  [[nodiscard]] std::string fleet() const { return tls::FleetOf(pin_); }
  [[nodiscard]] const std::string& pin() const { return pin_; }
  [[nodiscard]] const std::string& roots_pem() const { return root_pem_; }
  [[nodiscard]] tls::CertificateFiles server_files() const;

  // "spiffe://FLEET/KIND/ID".
  [[nodiscard]] std::string UriOf(absl::string_view kind, absl::string_view id) const;
  // The certificate of a device ("device") or a person ("person"), then the issuer's. REQUIRES: the
  // id is a valid one, see access::CheckId.
  absl::StatusOr<std::string> SignClient(const tls::SigningRequest& request, absl::string_view kind,
                                         absl::string_view id) const;
  // Makes the coordinator's own certificate anew past the half of its life, or where it lacks a
  // name.
  absl::Status RenewServerCertificate();

 private:
  Authority(std::string directory, ServerNames names, const Clock& clock)
      : directory_(std::move(directory)), names_(std::move(names)), clock_(clock) {}
  absl::Status Load();
  [[nodiscard]] std::string Path(absl::string_view name) const;
  // The key of that name; makes it if it is missing.
  absl::StatusOr<std::string> LoadKey(absl::string_view name) const;
  // The certificate of that name; signs it if it is missing. Refuses one of another key.
  absl::StatusOr<std::string> LoadCertificate(absl::string_view name,
                                              const tls::CertificateContent& content,
                                              absl::string_view issuer_pem,
                                              absl::string_view issuer_key_pem) const;

  const std::string directory_;
  const ServerNames names_;
  const Clock& clock_;
  std::string root_pem_;
  std::string pin_;
  std::string issuer_pem_;
  std::string issuer_key_pem_;
  std::string server_key_pem_;
  absl::Mutex mutex_;  // Of the file server.pem.
};

}  // namespace wattle::authority

#endif  // WATTLE_COORDINATOR_AUTHORITY_AUTHORITY_H_
