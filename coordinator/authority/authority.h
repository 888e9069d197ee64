// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The fleet's certificate authority: a root key, which may be taken offline, and an issuing key,
// which signs. Both are made at the first start, in a folder that only its user may read. Device
// and person certificates last 30 days, the coordinator's own 90. After a crash at any step the
// next start continues with the files. The operator's own CA may replace both keys. Thread-safe.
//   root_key.pem root.pem issuer_key.pem issuer.pem   of the first root
//   N/                files of the Nth root, and cross.pem: that root, signed by the one before
//   N.partial/        an unfinished rotation; the next start removes it
//   fleet             the fleet's name, from its first root; unchanged when the root changes
//   server_key.pem server.pem
// While two roots are trusted, the coordinator and new certificates show cross.pem too: a program
// that has only the old root thereby accepts certificates signed under the new one.
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
#include "coordinator/authority/operator_issuer.h"

namespace wattle::authority {

inline constexpr absl::Duration kClientLife = absl::Hours(30 * 24);
inline constexpr absl::Duration kServerLife = absl::Hours(90 * 24);

// The name in every device's certificate by which a scraper of its page over HTTPS checks that a
// board of the fleet answers. The authority does not know the boards' addresses.
inline constexpr char kWorkerDnsName[] = "wattle-worker";

// The names and addresses of the coordinator, for its own certificate.
struct ServerNames {
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;
};

class Authority {
 public:
  // clock: must outlive the authority. issuer: with a chain, the root is the operator's, and the
  // folder keeps only the coordinator's own key. Errors: those of the files; kFailedPrecondition
  // for a key that others may read, or that does not belong to its certificate; kInvalidArgument
  // for a file of `issuer`, or if the folder has another root.
  static absl::StatusOr<std::unique_ptr<Authority>> Open(const std::string& directory,
                                                         const ServerNames& names,
                                                         const Clock& clock,
                                                         const OperatorIssuer& issuer = {});

  // "f" followed by 16 hex digits of the first root's key.
  [[nodiscard]] const std::string& fleet() const { return fleet_; }
  // The 64 hex digits by which a token names the root under which certificates are signed.
  [[nodiscard]] std::string pin() const;
  // All trusted roots, the newest first.
  [[nodiscard]] std::string roots_pem() const;
  [[nodiscard]] tls::CertificateFiles server_files() const;

  struct Root {
    std::string sha256;  // Raw digest of the public key.
    absl::Time not_after;
    bool signs = false;
  };
  // The newest first, at most two.
  [[nodiscard]] std::vector<Root> Roots() const;
  // The root (raw sha256) that the certificate leads to; empty: no trusted root.
  [[nodiscard]] std::string RootOf(const std::string& chain_pem) const;

  // A new root in two steps, so that the caller can note it durably between them: Prepare makes the
  // keys and returns the new root's sha256 (raw), Rotate trusts the root and signs under it.
  // Errors: kFailedPrecondition while an old root is still trusted, or if the present root's key is
  // offline; those of the files.
  absl::StatusOr<std::string> PrepareRotation();
  absl::Status Rotate();
  // Stops trusting this old root, and removes its keys. Errors: kNotFound; kFailedPrecondition for
  // the root that signs.
  absl::Status Retire(const std::string& sha256);

  // "spiffe://FLEET/KIND/ID".
  [[nodiscard]] std::string UriOf(absl::string_view kind, absl::string_view id) const;
  // The certificate of a device ("device") or a person ("person"), then the issuer's. REQUIRES: the
  // id is a valid one, see access::CheckId. until: the earliest end of the certificate.
  absl::StatusOr<std::string> SignClient(const tls::SigningRequest& request, absl::string_view kind,
                                         absl::string_view id,
                                         absl::Time until = absl::InfinitePast()) const;
  // Renews the coordinator's own certificate after half of its life, or if it lacks a name.
  absl::Status RenewServerCertificate();
  // Why the latest renewal failed, and when the certificate ends; empty: the renewal succeeded.
  [[nodiscard]] std::string RenewalProblem() const;

 private:
  // A root and its issuer.
  struct Generation {
    int number = 1;
    std::string folder = {};
    std::string root_pem = {};
    std::string pin = {};
    std::string issuer_pem = {};
    std::string issuer_key_pem = {};
    std::string cross_pem = {};  // Empty for the first root.
  };

  Authority(std::string directory, ServerNames names, const Clock& clock, OperatorIssuer issuer)
      : directory_(std::move(directory)),
        names_(std::move(names)),
        clock_(clock),
        issuer_(std::move(issuer)) {}
  absl::Status Load() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status LoadFleet() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadGenerations() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Loads the operator's CA. Keeps its certificates, so that a later start with another root is
  // refused.
  [[nodiscard]] absl::StatusOr<Generation> LoadOperatorsGeneration() const;
  [[nodiscard]] absl::StatusOr<std::string> LoadIssuerKey(const std::string& folder) const;
  [[nodiscard]] std::string FolderOf(int number) const;
  // Reads the files of the folder; makes those that are missing.
  [[nodiscard]] absl::StatusOr<Generation> LoadGeneration(int number,
                                                          const std::string& folder) const;
  absl::Status RemoveGeneration(int number) const;
  // The certificates sent besides the own one: for clients, and for the server, where they must
  // also serve programs that have only one root or send only one certificate.
  [[nodiscard]] std::string ClientTail() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] std::string ServerTail() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RenewServer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RenewServerIfDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string directory_;
  const ServerNames names_;
  const Clock& clock_;
  const OperatorIssuer issuer_;
  std::string fleet_;  // Constant once open, like the next member.
  std::string server_key_pem_;
  mutable absl::Mutex mutex_;                                    // Guards the files too.
  std::vector<Generation> generations_ ABSL_GUARDED_BY(mutex_);  // Newest first; not empty.
  absl::Status renewed_ ABSL_GUARDED_BY(mutex_);  // The latest renewal of the own certificate.
};

}  // namespace wattle::authority

#endif  // WATTLE_COORDINATOR_AUTHORITY_AUTHORITY_H_
