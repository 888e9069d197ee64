// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/release.h"

#include "absl/strings/str_format.h"

#include "base/crc32c.h"
#include "sim/random.h"

namespace wattle::sim {
namespace {

constexpr double kGoodReleases = 0.5;

}  // namespace

Release ReleaseOf(uint64_t seed, const std::string& version) {
  if (version == kInstalledVersion) {
    return Release::kGood;
  }
  Random random(seed * 32'452'867 + Crc32c(version));
  if (random.Chance(kGoodReleases)) {
    return Release::kGood;
  }
  constexpr Release kBad[] = {Release::kFailsItsTest, Release::kCrashes, Release::kHangsInItsTest};
  return kBad[random.Below(3)];
}

v1::ArtifactInfo ReleaseArtifact(int number, const std::string& version) {
  v1::ArtifactInfo release;
  release.set_artifact_id(absl::StrFormat("%064x", 0xe0000 + number));
  release.set_name("wattle-worker-" + version);
  release.set_kind(v1::ARTIFACT_KIND_RELEASE);
  release.set_size_bytes(kReleaseBytes);
  release.set_release_version(version);
  release.set_release_architecture(kArchitecture);
  return release;
}

}  // namespace wattle::sim
