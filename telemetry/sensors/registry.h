// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The list of every kind of source, and what this board has of them. A new source is a file beside
// this one and a line in registry.cc.
#ifndef WATTLE_TELEMETRY_SENSORS_REGISTRY_H_
#define WATTLE_TELEMETRY_SENSORS_REGISTRY_H_

#include <string>
#include <vector>

#include "absl/types/span.h"

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

struct SourceKind {
  const char* name;  // "ina3221"
  // Every source of this kind, usable or not, without those that are merely absent. root: "" for
  // this machine, a directory with a copied file tree in tests.
  std::vector<Candidate> (*discover)(const std::string& root);
};

absl::Span<const SourceKind> AllSourceKinds();

// Every kind's candidates, in the order of the list.
std::vector<Candidate> DiscoverSources(const std::string& root);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_REGISTRY_H_
