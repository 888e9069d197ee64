// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The releases of the simulated worker; version and seed of the world determine which are bad.
// Pure.
#ifndef WATTLE_SIM_RELEASE_H_
#define WATTLE_SIM_RELEASE_H_

#include <cstdint>
#include <string>

#include "wattle/v1/artifact.pb.h"

namespace wattle::sim {

// The version that every board runs at first, without a folder of releases.
inline constexpr const char* kInstalledVersion = "1.0.0";
inline constexpr const char* kArchitecture = "aarch64";
inline constexpr int64_t kReleaseBytes = int64_t{1} << 20;  // Size of each release.

enum class Release { kGood, kFailsItsTest, kCrashes, kHangsInItsTest };
Release ReleaseOf(uint64_t seed, const std::string& version);

// The artifact that `wattle release push` commits.
v1::ArtifactInfo ReleaseArtifact(int number, const std::string& version);

}  // namespace wattle::sim

#endif  // WATTLE_SIM_RELEASE_H_
