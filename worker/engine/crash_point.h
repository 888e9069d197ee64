// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Places at which a test can have this process killed. Inactive, at the cost of one comparison,
// unless the environment has
//   WATTLE_CRASH_AT=SITE:OPERATION:N[:after]
// then the process gets SIGKILL the N-th time (from 1) that it is about to do (":after": has done)
// that operation.
//   SITE       weights, optimizer, state: that file of a checkpoint; directory: the checkpoint's
//   own rename and sync;
//              checkpoint: any of these; frame: progress frames
//   OPERATION  write, sync, rename, sync_directory; for frames: step
// With WATTLE_CRASH_MARKER=PATH it happens once: the file is made before the end, and nothing
// happens where it exists. Thread-safe.
#ifndef WATTLE_WORKER_ENGINE_CRASH_POINT_H_
#define WATTLE_WORKER_ENGINE_CRASH_POINT_H_

#include <string>

#include "absl/strings/string_view.h"

#include "base/durable_file.h"

namespace wattle::engine {

// Counts, and ends the process if the environment says so.
void ReachCrashPoint(absl::string_view site, absl::string_view operation,
                     FileOperationMoment moment);

// An observer for the file operations of one file of a checkpoint.
FileOperationObserver CrashObserver(const std::string& site);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_CRASH_POINT_H_
