// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Identifies callers of the gRPC port and the HTTPS port: checks a certificate's name, time and
// revocation, and a service's token, by the journal and the coordinator's clock. A refusal states
// the reason and who can help. Thread-safe.
#ifndef WATTLE_COORDINATOR_CALLERS_CALLERS_H_
#define WATTLE_COORDINATOR_CALLERS_CALLERS_H_

#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "base/tls/certificate.h"
#include "coordinator/access/access_table.h"
#include "coordinator/callers/call_limits.h"
#include "coordinator/core/certificate_age.h"
#include "coordinator/core/projects.h"
#include "coordinator/runtime/runtime.h"
#include "wattle/v1/journal.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::callers {

// An unproved caller of a plaintext port.
inline constexpr char kAnybody[] = "anybody";

// For the message of a refusal.
inline constexpr char kHowToEnter[] =
    "enrol a board with 'wattle-worker enroll TOKEN', log in with 'wattle login TOKEN'";

// The name of an unproved caller, by the share of the address. host: as the connection reports it.
std::string StrangerAt(const std::string& host);

// A caller as proved by the connection.
struct Caller {
  // The name under which calls and streams are counted; empty: not counted, for a user of this
  // machine or without TLS.
  [[nodiscard]] std::string counted() const;
  // For the events of the caller's commands. address: the host's, as the connection reports it.
  [[nodiscard]] v1::EventCaller At(std::string address) const;

  access::Identity identity = {};
  // "device", "person", "service", "local" (a user of this machine), or kAnybody.
  std::string kind = {};
  std::string uri = {};                // From the certificate, like the next fields; empty without
                                       // a certificate.
  std::string public_key_sha256 = {};  // Raw.
  core::Validity validity = {};
};

class Callers {
 public:
  // runtime: must outlive the object. fleet: the name in its certificates.
  Callers(const runtime::Runtime& runtime, std::string fleet, std::shared_ptr<CallLimits> limits)
      : runtime_(runtime), fleet_(std::move(fleet)), limits_(std::move(limits)) {}

  static Caller Anybody();  // Has all rights.
  static Caller Local();    // Has the role admin.

  // pem: a certificate whose signature the handshake has checked. Does not check expiry, see Admit.
  // Errors: kUnauthenticated for a certificate of no member of this fleet; kPermissionDenied for a
  // revoked identity.
  [[nodiscard]] absl::StatusOr<Caller> OfCertificate(absl::string_view pem) const;
  // header: Authorization of an HTTP request. Errors: kUnauthenticated, with different messages for
  // a malformed, wrong, revoked or expired token.
  [[nodiscard]] absl::StatusOr<Caller> OfAuthorization(absl::string_view header) const;

  // Checks, before the request is read, whether the caller may now call the method for some
  // resource. nameless: the name under which to count a caller without one; empty: not counted.
  // Errors: kUnauthenticated for an expired certificate; kResourceExhausted for one call too many;
  // those of access::DecideMethod.
  [[nodiscard]] absl::Status Admit(const Caller& caller, absl::string_view method,
                                   const std::string& nameless = "") const;
  // Counts a refused call of an unknown caller and returns `why`. Errors: kResourceExhausted for
  // one call too many of `who`, such as ShownBy.
  [[nodiscard]] absl::Status CountRefused(const std::string& who, const absl::Status& why) const;
  // The name in the certificate, regardless of the journal. Empty pem: no certificate, so the name
  // is `stranger`.
  [[nodiscard]] std::string ShownBy(absl::string_view pem, std::string stranger) const;
  // Counts a message of an admitted call or of a stranger's. who: see NoteRefusal; empty: not
  // counted.
  void NoteMessage(const std::string& who, int64_t bytes) const;
  // Counts the refusal for the audit. who: Caller::counted, or the address of a stranger. All
  // methods that do not exist count as one, because callers can invent any number.
  void NoteRefusal(absl::string_view who, absl::string_view method, const absl::Status& why) const;
  [[nodiscard]] CallLimits& limits() const { return *limits_; }

 private:
  [[nodiscard]] absl::StatusOr<tls::CertificateFacts> FactsOf(absl::string_view pem) const;

  const runtime::Runtime& runtime_;
  const std::string fleet_;
  const std::shared_ptr<CallLimits> limits_;
  mutable absl::Mutex mutex_;
  // Parsed certificates of the latest connections, keyed by their text.
  mutable std::unordered_map<std::string, tls::CertificateFacts> known_ ABSL_GUARDED_BY(mutex_);
};

// Writes the counted refusals to the journal, see RefusedCalls::KeepCounts. Does not block: if the
// runtime is busy or stops, a later call writes them.
void JournalRefusals(RefusedCalls& refused, runtime::Runtime& runtime,
                     absl::Duration age_min = absl::Minutes(1));

// Sets the owner of a job to its submitter. For an unproved caller the owner in the spec stays.
// Errors: kPermissionDenied for another's name.
absl::Status SetOwner(const Caller& caller, v1::JobSpec& spec);

// The projects for which the caller may call the method, by the access table.
core::Scope ScopeOf(const Caller& caller, absl::string_view method);
// The calling board, if the access table gives it only its own resources; else empty.
std::string OwnDeviceOf(const Caller& caller, absl::string_view method);

// A name with roles in the default project.
access::Identity IdentityOf(std::string id, std::set<access::Role> roles);

}  // namespace wattle::callers

#endif  // WATTLE_COORDINATOR_CALLERS_CALLERS_H_
