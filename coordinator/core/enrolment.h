// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tokens, the identities that enrolled by them, and the approval of devices. A token's time is
// judged by the coordinator's clock alone. Pure.
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
// Of a token alone: a service enrols nowhere, it shows the token itself.
inline constexpr char kServiceKind[] = "service";
// Of a token, where one is named beside who enrols by it.
inline constexpr char kTokenKind[] = "token";

// Null where nobody of this kind and id enrolled or was revoked.
const v1::IdentityRecord* FindIdentity(const State& state, absl::string_view kind,
                                       absl::string_view id);

// Whether the device enrolled by a token that wants an operator's approval, and has none yet.
bool WaitsForApproval(const State& state, const DeviceId& device);
bool IsRevoked(const State& state, const DeviceId& device);
// Whether the device may have work and policies of the fleet: neither of the two.
bool MayWork(const State& state, const DeviceId& device);
// Finds a device by its id, also one that enrolled and never connected, by its name or by a unique
// prefix of the id. Errors: as ResolveDevice.
absl::StatusOr<DeviceId> ResolveEnrolled(const State& state, absl::string_view reference);

// What somebody shows to enrol.
struct ShownToken {
  std::string token_id;
  std::string secret_sha256;           // Raw.
  std::string signing_request_sha256;  // Raw.
  std::string device_id;               // With a token for a device.
};
// The token, which may be used now. A request that was answered before may be repeated by whoever
// knows the secret, also with a spent token. Errors: kPermissionDenied, with a message of its own
// for a token that is wrong, a service's, revoked, used up or expired.
absl::StatusOr<v1::EnrolmentToken> CheckToken(const State& state, const ShownToken& shown,
                                              absl::Time now);
// Boards show the id that they made, and people none: so neither spends a token of the other.
// Errors: kPermissionDenied, which names the command that takes the token.
absl::Status CheckTaker(const v1::EnrolmentToken& token, absl::string_view device_id);

// The name of the service whose token it is, which may be used now. Errors: kUnauthenticated, with
// a message of its own for a token that is wrong, revoked or expired.
absl::StatusOr<std::string> CheckServiceToken(const State& state, const std::string& token_id,
                                              absl::string_view secret_sha256, absl::Time now);

// Whether an id may stand in a certificate: 1 to 64 letters, digits, '.', '_', '-'. Errors:
// kInvalidArgument.
absl::Status CheckId(absl::string_view field, absl::string_view id);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ENROLMENT_H_
