// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Versions of releases, "1.4.0" or "1.5.0-rc.1", in their order, and which workers a coordinator
// serves. Pure; thread-safe.
#ifndef WATTLE_PROTO_RELEASE_VERSION_H_
#define WATTLE_PROTO_RELEASE_VERSION_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace wattle {

struct ReleaseVersion {
  std::array<int64_t, 3> numbers = {};
  std::string candidate;  // "rc.1"; empty: the release itself, which is newer than its candidates.
};

// nullopt for any other text, including the tag "v1.4.0".
std::optional<ReleaseVersion> ParseReleaseVersion(absl::string_view text);

// Whether release `a` came before `b`.
bool IsOlderRelease(const ReleaseVersion& a, const ReleaseVersion& b);

// A coordinator of the minor release N serves workers of N - 2 to N + 1 of the same major release.
bool IsServedBy(const ReleaseVersion& worker, const ReleaseVersion& coordinator);

}  // namespace wattle

#endif  // WATTLE_PROTO_RELEASE_VERSION_H_
