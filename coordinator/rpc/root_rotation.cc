// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/root_rotation.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "base/status_macros.h"
#include "base/tls/certificate.h"
#include "coordinator/core/core.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/rotation.h"
#include "coordinator/core/state.h"

namespace wattle::rpc {
namespace {

constexpr absl::Duration kCommitPatience = absl::Seconds(20);
// The server reads its new certificate within a second.
constexpr absl::Duration kCertificateIsServed = absl::Seconds(2);
constexpr absl::Duration kBetweenBoards = absl::Milliseconds(20);
constexpr size_t kBeginBytesMin = 4;
constexpr size_t kNamesMax = 100;
constexpr size_t kNamesInAMessage = 5;

// "device/ID (NAME)": people know a board by its name.
std::string WithDeviceName(const core::State& state, const std::string& identity) {
  absl::string_view id = identity;
  const v1::DeviceRecord* const device =
      absl::ConsumePrefix(&id, absl::StrCat(core::kDeviceKind, "/"))
          ? core::FindDevice(state, DeviceId(std::string(id)))
          : nullptr;
  return device == nullptr ? identity : absl::StrCat(identity, " (", device->info().name(), ")");
}

std::string FirstOf(const core::State& state, const std::vector<std::string>& names) {
  const size_t told = std::min(names.size(), kNamesInAMessage);
  return absl::StrCat(
      absl::StrJoin(names.begin(), names.begin() + static_cast<int64_t>(told), ", ",
                    [&state](std::string* out, const std::string& name) {
                      out->append(WithDeviceName(state, name));
                    }),
      names.size() > told ? absl::StrCat(" and ", names.size() - told, " more") : "");
}

}  // namespace

RootRotation::RootRotation(runtime::Runtime& runtime, StreamTable& streams,
                           authority::Authority& authority)
    : runtime_(runtime), streams_(streams), authority_(authority), thread_([this] { Run(); }) {}

RootRotation::~RootRotation() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

std::vector<std::string> RootRotation::Under(const std::string& root_sha256) const {
  return core::IdentitiesUnder(
      *runtime_.Version(), root_sha256,
      [this](const std::string& certificate) { return authority_.RootOf(certificate); });
}

v1::GetAuthorityResponse RootRotation::Describe() const {
  v1::GetAuthorityResponse response;
  for (const authority::Authority::Root& root : authority_.Roots()) {
    v1::TrustedRoot& told = *response.add_roots();
    told.set_root_sha256(root.sha256);
    told.set_not_after_unix_seconds(core::ToUnix(root.not_after));
    told.set_signs(root.signs);
    const std::vector<std::string> names = Under(root.sha256);
    told.set_identities(static_cast<int>(names.size()));
    for (size_t i = 0; !root.signs && i < std::min(names.size(), kNamesMax); ++i) {
      told.add_identity_names(names[i]);
    }
  }
  return response;
}

// The event before the deed: a crash between them leaves a note of a rotation that was not done,
// never one that was done and is not noted.
absl::StatusOr<v1::GetAuthorityResponse> RootRotation::Rotate(const std::string& by,
                                                              const v1::EventCaller& caller) {
  absl::MutexLock changing(&changing_);
  WATTLE_ASSIGN_OR_RETURN(const std::string root, authority_.PrepareRotation());
  WATTLE_RETURN_IF_ERROR(
      runtime_.PostAndWait(core::RotateRoot{root, by}, kCommitPatience, caller).status);
  WATTLE_RETURN_IF_ERROR(authority_.Rotate());
  {
    absl::MutexLock lock(&mutex_);
    moving_ = true;
  }
  return Describe();
}

absl::StatusOr<std::string> RootRotation::ResolveRoot(const std::string& begin) const {
  const std::vector<authority::Authority::Root> roots = authority_.Roots();
  if (begin.empty()) {
    return roots.back().sha256;
  }
  if (begin.size() < kBeginBytesMin) {
    return absl::InvalidArgumentError(
        absl::StrCat("root: wanted at least the first ", 2 * kBeginBytesMin, " hex digits"));
  }
  for (const authority::Authority::Root& root : roots) {
    if (absl::StartsWith(root.sha256, begin)) {
      return root.sha256;
    }
  }
  return absl::NotFoundError(absl::StrCat("no root ", tls::ToHex(begin),
                                          " is trusted; 'wattle access status' lists them"));
}

absl::StatusOr<v1::GetAuthorityResponse> RootRotation::Retire(
    const v1::RetireAuthorityRequest& request, const std::string& by,
    const v1::EventCaller& caller) {
  absl::MutexLock changing(&changing_);
  WATTLE_ASSIGN_OR_RETURN(const std::string root, ResolveRoot(request.root_sha256()));
  if (root == authority_.Roots().front().sha256) {
    return absl::FailedPreconditionError(
        "this root signs the fleet's certificates; 'wattle access rotate-ca' makes another first");
  }
  const std::vector<std::string> left = Under(root);
  if (!left.empty() && !request.force()) {
    return absl::FailedPreconditionError(absl::StrCat(
        left.size(), left.size() == 1 ? " certificate is" : " certificates are",
        " under this root: ", FirstOf(*runtime_.Version(), left),
        "; wait until they are renewed, revoke them, or lock them out with --force: they would "
        "have to enrol again"));
  }
  WATTLE_RETURN_IF_ERROR(
      runtime_.PostAndWait(core::RetireRoot{root, by}, kCommitPatience, caller).status);
  WATTLE_RETURN_IF_ERROR(authority_.Retire(root));
  for (const std::string& name : left) {
    absl::string_view device = name;
    if (absl::ConsumePrefix(&device, absl::StrCat(core::kDeviceKind, "/"))) {
      streams_.CloseDevice(DeviceId(std::string(device)),
                           "the root of this device's certificate was retired; enrol again");
    }
  }
  v1::GetAuthorityResponse response = Describe();
  if (!left.empty()) {
    v1::TrustedRoot& locked_out = *response.add_roots();
    locked_out.set_root_sha256(root);
    locked_out.set_identities(static_cast<int>(left.size()));
    for (size_t i = 0; i < std::min(left.size(), kNamesMax); ++i) {
      locked_out.add_identity_names(left[i]);
    }
  }
  return response;
}

bool RootRotation::Wait(absl::Duration time) {
  absl::MutexLock lock(&mutex_);
  return !mutex_.AwaitWithTimeout(absl::Condition(&stopping_), time);
}

void RootRotation::Run() {
  const auto asked = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return moving_ || stopping_; };
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&asked));
      moving_ = false;
    }
    if (!Wait(kCertificateIsServed)) {
      return;
    }
    const std::vector<authority::Authority::Root> roots = authority_.Roots();
    for (const std::string& name : Under(roots.back().sha256)) {
      absl::string_view device = name;
      if (roots.size() < 2 || !absl::ConsumePrefix(&device, absl::StrCat(core::kDeviceKind, "/"))) {
        continue;
      }
      if (streams_.AskToRedial(
              DeviceId(std::string(device)),
              "the fleet has a new root: connect again to renew the certificate") &&
          !Wait(kBetweenBoards)) {
        return;
      }
    }
  }
}

}  // namespace wattle::rpc
