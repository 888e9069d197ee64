// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tokens, the identities enrolled with them, and the approval of devices. Only the coordinator's
// clock decides whether a token is valid. Pure.
#ifndef WATTLE_COORDINATOR_CORE_ENROLMENT_H_
#define WATTLE_COORDINATOR_CORE_ENROLMENT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "coordinator/core/state.h"
#include "wattle/v1/access.pb.h"

namespace wattle::core {

inline constexpr char kDeviceKind[] = "device";
inline constexpr char kPersonKind[] = "person";
// Kind of a service token only: a service does not enrol, it presents the token with each call.
inline constexpr char kServiceKind[] = "service";
// Names a token where identities are listed by kind.
inline constexpr char kTokenKind[] = "token";

// Null if no identity of this kind and id was enrolled or revoked.
const v1::IdentityRecord* FindIdentity(const State& state, absl::string_view kind,
                                       absl::string_view id);

// Whether the device enrolled by a token that requires an operator's approval, and still lacks it.
bool WaitsForApproval(const State& state, const DeviceId& device);
bool IsRevoked(const State& state, const DeviceId& device);
// Whether the device may get work and policies: it is neither waiting for approval nor revoked.
bool MayWork(const State& state, const DeviceId& device);
// Finds a device by its id, name or unique prefix of the id, including devices that enrolled and
// never connected. Errors: those of ResolveDevice.
absl::StatusOr<DeviceId> ResolveEnrolled(const State& state, absl::string_view reference);

// What an enrolling device or person presents.
struct ShownToken {
  std::string token_id;
  std::string secret_sha256;           // Raw.
  std::string signing_request_sha256;  // Raw.
  std::string device_id;               // For a token for devices.
};
// Returns the token if it may be used now. A caller with the secret may repeat a request that was
// answered before, even if the token is spent. Errors: kPermissionDenied, with a separate message
// for a token that is wrong, a service's, revoked, used up or expired.
absl::StatusOr<v1::EnrolmentToken> CheckToken(const State& state, const ShownToken& shown,
                                              absl::Time now);
// Checks that the token is for this kind of holder: devices present an id, people do not, so
// neither can spend a token meant for the other. Errors: kPermissionDenied, which names the command
// that takes the token.
absl::Status CheckTaker(const v1::EnrolmentToken& token, absl::string_view device_id);

// Returns the service's name if its token may be used now. Errors: kUnauthenticated, with a
// separate message for a token that is wrong, revoked or expired.
absl::StatusOr<std::string> CheckServiceToken(const State& state, const std::string& token_id,
                                              absl::string_view secret_sha256, absl::Time now);

// Checks that an id may appear in a certificate: 1 to 64 letters, digits, '.', '_', '-'. Errors:
// kInvalidArgument.
absl::Status CheckId(absl::string_view field, absl::string_view id);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ENROLMENT_H_
