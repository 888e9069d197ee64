// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Heartbeats that carry only changes. The worker keeps a copy of the coordinator's heartbeat, sends
// the fields that differ from it, and applies them to its copy, so that both sides always have the
// same heartbeat. Both need an ordered stream, and a whole heartbeat first.
//
// A sensor's value that changed by less than the following step counts as unchanged:
//   watts                              0.02 W
//   temperature                        0.2 °C
//   states of charge and their error   0.001
//   age of a reading                   10 s
//   time to empty and to full          60 s
//   joules since the identity was made 20 J
//   free memory and disk               4 MiB
// A value that becomes or leaves its default, and any change of another field, counts. The device's
// time is such a field, because it dates the heartbeat's values. Pure; thread-safe.
#ifndef WATTLE_PROTO_HEARTBEAT_CHANGES_H_
#define WATTLE_PROTO_HEARTBEAT_CHANGES_H_

#include "wattle/v1/device.pb.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle {

// The changes from `told` to `now`.
v1::HeartbeatChanges ChangesOf(const v1::Heartbeat& told, const v1::Heartbeat& now);

void ApplyChanges(const v1::HeartbeatChanges& changes, v1::Heartbeat& heartbeat);

// Combines both: `changes` becomes the effect of `changes` followed by `later`.
void AddChanges(const v1::HeartbeatChanges& later, v1::HeartbeatChanges& changes);

}  // namespace wattle

#endif  // WATTLE_PROTO_HEARTBEAT_CHANGES_H_
