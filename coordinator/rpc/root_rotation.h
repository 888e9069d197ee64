// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A new root for the fleet while it works: both roots are trusted, every renewal moves somebody to
// the new one, and the old one is retired once nobody is left under it. Each step is in the journal
// before it is done. After a rotation the streams of boards that are under the old root end, a few
// each second: a board that connects anew sees the new root, and renews. Thread-safe.
#ifndef WATTLE_COORDINATOR_RPC_ROOT_ROTATION_H_
#define WATTLE_COORDINATOR_RPC_ROOT_ROTATION_H_

#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "coordinator/authority/authority.h"
#include "coordinator/rpc/fleet_service.h"
#include "coordinator/runtime/runtime.h"
#include "wattle/v1/access.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::rpc {

class RootRotation {
 public:
  // All must outlive the object.
  RootRotation(runtime::Runtime& runtime, StreamTable& streams, authority::Authority& authority);
  ~RootRotation();
  RootRotation(const RootRotation&) = delete;
  RootRotation& operator=(const RootRotation&) = delete;

  [[nodiscard]] v1::GetAuthorityResponse Describe() const;
  // by, caller: who asks, for the journal. Errors: as Authority::PrepareRotation; of the journal.
  absl::StatusOr<v1::GetAuthorityResponse> Rotate(const std::string& by,
                                                  const v1::EventCaller& caller);
  // Errors: kFailedPrecondition names who is left under the root, unless it is forced; kNotFound
  // and kInvalidArgument for a root that is none or not the only one.
  absl::StatusOr<v1::GetAuthorityResponse> Retire(const v1::RetireAuthorityRequest& request,
                                                  const std::string& by,
                                                  const v1::EventCaller& caller);

 private:
  [[nodiscard]] std::vector<std::string> Under(const std::string& root_sha256) const;
  [[nodiscard]] absl::StatusOr<std::string> ResolveRoot(const std::string& begin) const;
  void Run();
  // False: the object ends.
  bool Wait(absl::Duration time);

  runtime::Runtime& runtime_;
  StreamTable& streams_;
  authority::Authority& authority_;
  absl::Mutex changing_;  // One change of the roots at a time.
  absl::Mutex mutex_;
  bool moving_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_ROOT_ROTATION_H_
