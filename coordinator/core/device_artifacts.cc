// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/device_artifacts.h"

#include <string>

namespace wattle::core {
namespace {

using Ids = std::set<ArtifactId>;

void Add(const std::string& id, Ids& ids) {
  if (!id.empty()) {
    ids.insert(ArtifactId(id));
  }
}

void AddInputsOfLeases(const v1::DesiredSet& desired, Ids& ids) {
  for (const v1::Assignment& assignment : desired.assignments()) {
    for (const v1::ResolvedInput& input : assignment.inputs()) {
      Add(input.artifact_id(), ids);
    }
  }
}

// An attempt goes on from its job's newest checkpoint, and uploads the next one without the chunks
// that both have.
void AddCheckpointsOfLeases(const v1::DesiredSet& desired, Ids& ids) {
  for (const v1::Assignment& assignment : desired.assignments()) {
    Add(assignment.checkpoint_artifact_id(), ids);
  }
}

void AddOrderedRelease(const v1::DesiredSet& desired, Ids& ids) {
  Add(desired.upgrade().artifact_id(), ids);
}

constexpr void (*kReasons[])(const v1::DesiredSet&, Ids&) = {
    AddInputsOfLeases, AddCheckpointsOfLeases, AddOrderedRelease};

}  // namespace

std::set<ArtifactId> ArtifactsOf(const v1::DesiredSet& desired) {
  Ids ids;
  for (const auto& add : kReasons) {
    add(desired, ids);
  }
  return ids;
}

}  // namespace wattle::core
