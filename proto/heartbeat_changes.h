// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Heartbeats that say what changed. The worker keeps the heartbeat that the coordinator knows,
// sends the fields that differ from it, and applies them to its own copy: both sides always know
// the same heartbeat. Both need an ordered stream, and a whole heartbeat first.
//
// A sensor's value that moved by less than nobody needs counts as unchanged:
//   watts                              0.02 W
//   temperature                        0.2 °C
//   states of charge and their error   0.001
//   age of a reading                   10 s
//   time to empty and to full          60 s
//   joules since the identity was made 20 J
//   free memory and disk               4 MiB
// A value that becomes or leaves its default, and any change of another field, counts. The device's
// time is such a field: what a heartbeat told is as of that time. Pure; thread-safe.
#ifndef WATTLE_PROTO_HEARTBEAT_CHANGES_H_
#define WATTLE_PROTO_HEARTBEAT_CHANGES_H_

#include "wattle/v1/device.pb.h"
#include "wattle/v1/fleet.pb.h"

namespace wattle {

// What `now` says and `told` does not.
v1::HeartbeatChanges ChangesOf(const v1::Heartbeat& told, const v1::Heartbeat& now);

void ApplyChanges(const v1::HeartbeatChanges& changes, v1::Heartbeat& heartbeat);

// Afterwards `changes` does in one what itself and then `later` did.
void AddChanges(const v1::HeartbeatChanges& later, v1::HeartbeatChanges& changes);

}  // namespace wattle

#endif  // WATTLE_PROTO_HEARTBEAT_CHANGES_H_
