// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Places at which a test can have this process killed, as kill -9 or a power cut would. These
// places do nothing, at the cost of one comparison, unless the environment has
//   WATTLE_CRASH_AT=NAME[:COUNT][:after]
// Then the process sends itself SIGKILL the COUNT-th time (from 1, the default) that it is about to
// pass the place NAME; with ":after", just after passing it. With WATTLE_CRASH_MARKER=PATH the kill
// happens once: the process makes that file first, and does nothing if the file exists. With
// WATTLE_CRASH_PARENT=yes the process that started this one is killed first: an agent with its
// runner, as by a power cut.
// With WATTLE_CRASH_SIGNAL=STOP the process gets SIGSTOP in place of SIGKILL: it hangs there until
// a test sends SIGCONT or kills it. A value that cannot be read ends the process with exit code 2,
// because a test that silently kills nothing would prove nothing. A child inherits the variable:
// the names of agent and runner differ.
//
// The agent's places (credentials:NAME is everybody's: that file is about to be written):
//   isolation        a child that tries the sandbox of runners has begun
//   accept           an assignment is durable, its report is not yet in the spool
//   progress         a step of the runner was taken in
//   checkpoint       a checkpoint frame was taken in
//   finish           the result is uploaded, its report is not yet in the spool
//   reported         the report of the end is in the spool
//   spool:write, spool:fsync, spool:acknowledge
//   state:write, state:sync, state:rename, state:sync_directory    of any record
//   release:copy, release:rename, release:switch, release:linked   of a release and its link
//   upgrade:fetch           bytes of a release have come; upgrade:installed, it is in place
//   upgrade:stop            the run is to end for the switch
//   upgrade:test, upgrade:tested     the self-test of a release has begun, has ended well
//   upgrade:recorded, upgrade:passed, upgrade:failed    the record of an upgrade is written
// The launcher's place:
//   launch:recorded         a start of a release on trial is counted
// The runner's places:
//   weights:OPERATION, optimizer:OPERATION    OPERATION of DurableFile, on that file of a
//   checkpoint directory:rename, directory:sync_directory    of the checkpoint's own directory
//   checkpoint:OPERATION    any of these
//   frame:phase             the frame that names a new phase is written, the first before loading
//   frame:step              a progress frame is written
// The coordinator's places:
//   rotate:prepared         the new root's keys are there; rotate:noted, so is the event;
//   rotate:renamed          the new root is trusted, the own certificate is the old one
//   retire:noted            the event is there; retire:removed, a file of the old root is gone
// Thread-safe.
#ifndef WATTLE_BASE_CRASH_POINT_H_
#define WATTLE_BASE_CRASH_POINT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

#include "base/durable_file.h"

namespace wattle {

// Counts the pass, and ends the process if the environment says so.
void CrashPoint(absl::string_view name, FileOperationMoment moment = FileOperationMoment::kBefore);

// An observer of file operations that passes SITE:OPERATION before and after each.
FileOperationObserver CrashObserver(const std::string& site);

// The parsed value of WATTLE_CRASH_AT.
struct CrashPlan {
  std::string name;
  int64_t count = 1;
  FileOperationMoment moment = FileOperationMoment::kBefore;
};
// nullopt: the text is not a crash plan.
std::optional<CrashPlan> ParseCrashPlan(absl::string_view text);

}  // namespace wattle

#endif  // WATTLE_BASE_CRASH_POINT_H_
