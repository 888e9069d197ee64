// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Renews an identity while its program runs: checks at once, then about every hour, and on request.
// A failure is reported and the renewal tried again; nothing else ends. One thread of its own.
// Thread-safe.
#ifndef WATTLE_IDENTITY_RENEWAL_H_
#define WATTLE_IDENTITY_RENEWAL_H_

#include <functional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "base/clock.h"
#include "identity/identity.h"

namespace wattle::identity {

class Renewal {
 public:
  using Told = std::function<void(const std::string&)>;

  // clock: must outlive the object. on_note: for people. on_problem: why the certificate is not
  // renewed, and when it ends; empty: it is renewed. Both are called on the object's thread.
  Renewal(Identity identity, std::string coordinator, const Clock& clock, Told on_note,
          Told on_problem);
  ~Renewal();
  Renewal(const Renewal&) = delete;
  Renewal& operator=(const Renewal&) = delete;

  // The coordinator is at this host:port from now on.
  void UseCoordinator(const std::string& coordinator);
  // Renews now, however long the certificate still lasts. Does not wait.
  void RenewNow();

 private:
  void Run();
  void TryToRenew(const std::string& coordinator);

  Identity identity_;  // Used by the thread, as is told_, the latest reported failure.
  std::string told_;
  const Clock& clock_;
  const Told on_note_;
  const Told on_problem_;
  absl::Mutex mutex_;
  std::string coordinator_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace wattle::identity

#endif  // WATTLE_IDENTITY_RENEWAL_H_
