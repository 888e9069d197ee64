// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who calls, for the gRPC port and the HTTPS port alike: judges a certificate's name, time and
// revocation, and a service's token, by the journal and the coordinator's clock, and tells a
// refused caller why and who can help. Thread-safe.
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

// A caller of a plaintext port, of whom nothing is proved.
inline constexpr char kAnybody[] = "anybody";

// For the message of a refusal.
inline constexpr char kHowToEnter[] =
    "enrol a board with 'wattle-worker enroll TOKEN', log in with 'wattle login TOKEN'";

// Who proves nothing, by the share of the address. host: as the connection has it.
std::string StrangerAt(const std::string& host);

// Who calls, as the connection proves.
struct Caller {
  // Whose calls and streams are counted; empty: nobody's, of a user of this machine or without TLS.
  [[nodiscard]] std::string counted() const;
  // For the events of the caller's commands. address: of the host, as the connection has it.
  [[nodiscard]] v1::EventCaller At(std::string address) const;

  access::Identity identity = {};
  // "device", "person", "service", "local" (a user of this machine), or kAnybody.
  std::string kind = {};
  std::string uri = {};                // Of the certificate. So are the rest; empty without one.
  std::string public_key_sha256 = {};  // Raw.
  core::Validity validity = {};
};

class Callers {
 public:
  // runtime: must outlive the object. fleet: the name in its certificates.
  Callers(const runtime::Runtime& runtime, std::string fleet, std::shared_ptr<CallLimits> limits)
      : runtime_(runtime), fleet_(std::move(fleet)), limits_(std::move(limits)) {}

  static Caller Anybody();  // May do everything.
  static Caller Local();    // An admin.

  // pem: a certificate whose signature the handshake has checked. Looks at no expiry, see Admit.
  // Errors: kUnauthenticated for one of no member of this fleet; kPermissionDenied for a revoked
  // identity.
  [[nodiscard]] absl::StatusOr<Caller> OfCertificate(absl::string_view pem) const;
  // header: Authorization of an HTTP request. Errors: kUnauthenticated, with a message of its own
  // for a token that is no token, wrong, revoked or expired.
  [[nodiscard]] absl::StatusOr<Caller> OfAuthorization(absl::string_view header) const;

  // Before the request is read: whether the caller may call the method, for some resource, now.
  // nameless: whose call it is where the caller is nobody who is counted; empty: nobody's. Errors:
  // kUnauthenticated for an expired certificate; kResourceExhausted for one call too many; those of
  // access::DecideMethod.
  [[nodiscard]] absl::Status Admit(const Caller& caller, absl::string_view method,
                                   const std::string& nameless = "") const;
  // Of a caller that is nobody here: `why`. Errors: kResourceExhausted for one call too many of
  // `who`, such as ShownBy.
  [[nodiscard]] absl::Status CountRefused(const std::string& who, const absl::Status& why) const;
  // Whose certificate it is, whatever the journal says of them. pem: empty: there is none, and it
  // is `stranger`.
  [[nodiscard]] std::string ShownBy(absl::string_view pem, std::string stranger) const;
  // Of a call that was admitted, or of a stranger's. who: as NoteRefusal's; empty: nobody who is
  // counted.
  void NoteMessage(const std::string& who, int64_t bytes) const;
  // Counts the refusal for the audit. who: Caller::counted, or the address of a stranger. Methods
  // that do not exist, which callers make up without an end, count as one.
  void NoteRefusal(absl::string_view who, absl::string_view method, const absl::Status& why) const;
  [[nodiscard]] CallLimits& limits() const { return *limits_; }

 private:
  [[nodiscard]] absl::StatusOr<tls::CertificateFacts> FactsOf(absl::string_view pem) const;

  const runtime::Runtime& runtime_;
  const std::string fleet_;
  const std::shared_ptr<CallLimits> limits_;
  mutable absl::Mutex mutex_;
  // What was read of the certificates of the latest connections, by their text.
  mutable std::unordered_map<std::string, tls::CertificateFacts> known_ ABSL_GUARDED_BY(mutex_);
};

// Brings what was refused to the journal, as RefusedCalls::KeepCounts says. Waits for nothing: a
// runtime that is busy or stops gets it later.
void JournalRefusals(RefusedCalls& refused, runtime::Runtime& runtime,
                     absl::Duration age_min = absl::Minutes(1));

// A job belongs to whoever submits it: fills in the owner. Of a caller of whom nothing is proved
// the owner is what is written. Errors: kPermissionDenied for another's name.
absl::Status SetOwner(const Caller& caller, v1::JobSpec& spec);

// Of which projects the caller may call the method, by the access table.
core::Scope ScopeOf(const Caller& caller, absl::string_view method);
// The board that calls, where the access table gives it what is its own alone; else empty.
std::string OwnDeviceOf(const Caller& caller, absl::string_view method);

// A name with roles in the default project.
access::Identity IdentityOf(std::string id, std::set<access::Role> roles);

}  // namespace wattle::callers

#endif  // WATTLE_COORDINATOR_CALLERS_CALLERS_H_
