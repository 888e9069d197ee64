// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Places where a test may end the process as kill -9 would. WATTLE_CRASH_AT=progress:5 ends it the
// fifth time CrashPoint("progress") is passed; "finish" means the first time. Points:
//   accept           an assignment is durable, its report is not yet spooled
//   progress         a step of the runner was taken in
//   checkpoint       a checkpoint frame was taken in
//   finish           the result is uploaded, its report is not yet spooled
//   reported         the report of the end is spooled
//   spool:write, spool:fsync, spool:acknowledge
//   state:write, state:sync, state:rename, state:sync_directory    of any record on the worker's
//   disk, before each
// "start" in main takes the variable out of the environment if it names one of these: the runner, a
// child, has points of its own under the same variable. Without it a point costs one comparison.
// Thread-safe after "start".
#ifndef WATTLE_WORKER_AGENT_STORAGE_CRASH_POINT_H_
#define WATTLE_WORKER_AGENT_STORAGE_CRASH_POINT_H_

#include "absl/strings/string_view.h"

namespace wattle::agent {

void CrashPoint(absl::string_view name);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_CRASH_POINT_H_
