// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which artifacts a board may read: those that the coordinator has told it to use, and no others. A
// stolen board's key opens nothing else. Pure.
#ifndef WATTLE_COORDINATOR_CORE_DEVICE_ARTIFACTS_H_
#define WATTLE_COORDINATOR_CORE_DEVICE_ARTIFACTS_H_

#include <set>

#include "units/id.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle::core {

// desired: what the board shall hold now, see DesiredFor. Each reason to read is a row of a table
// in device_artifacts.cc.
std::set<ArtifactId> ArtifactsOf(const v1::DesiredSet& desired);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_DEVICE_ARTIFACTS_H_
