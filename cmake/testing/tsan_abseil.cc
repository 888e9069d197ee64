// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Only for builds with -fsanitize=thread. The system's Abseil is built without the sanitizer, which
// therefore does not see that a Mutex, a Notification or the reference count of a Status orders two
// threads, and reports false races. These definitions are linked before the library's (see
// wattle_library.cmake), call it, and report the order to the sanitizer.
#include <dlfcn.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

#define WATTLE_UNCHECKED __attribute__((no_sanitize("thread")))

namespace {

// The library's own function of this mangled name. Part of the name is Debian's inline namespace.
template <typename Function>
WATTLE_UNCHECKED Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

using OfMutex = void(absl::Mutex*);
using TryMutex = bool(absl::Mutex*);
using AwaitMutex = void(absl::Mutex*, const absl::Condition&);
using AwaitMutexFor = bool(absl::Mutex*, const absl::Condition&, absl::Duration);

// Conditions of waiting threads are evaluated by the unlocking thread: those reads are covered by
// the lock, but come after the release that is reported here.
WATTLE_UNCHECKED void Release(absl::Mutex* mutex, OfMutex* unlock) {
  __tsan_release(mutex);
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  unlock(mutex);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

WATTLE_UNCHECKED void Acquire(absl::Mutex* mutex, OfMutex* lock) {
  lock(mutex);
  __tsan_acquire(mutex);
}

}  // namespace

namespace absl {
inline namespace debian3 {

WATTLE_UNCHECKED void Mutex::Lock() {
  static OfMutex* const next = Next<OfMutex>("_ZN4absl7debian35Mutex4LockEv");
  Acquire(this, next);
}
WATTLE_UNCHECKED void Mutex::ReaderLock() {
  static OfMutex* const next = Next<OfMutex>("_ZN4absl7debian35Mutex10ReaderLockEv");
  Acquire(this, next);
}
WATTLE_UNCHECKED void Mutex::Unlock() {
  static OfMutex* const next = Next<OfMutex>("_ZN4absl7debian35Mutex6UnlockEv");
  Release(this, next);
}
WATTLE_UNCHECKED void Mutex::ReaderUnlock() {
  static OfMutex* const next = Next<OfMutex>("_ZN4absl7debian35Mutex12ReaderUnlockEv");
  Release(this, next);
}
WATTLE_UNCHECKED bool Mutex::TryLock() {
  static TryMutex* const next = Next<TryMutex>("_ZN4absl7debian35Mutex7TryLockEv");
  const bool locked = next(this);
  if (locked) {
    __tsan_acquire(this);
  }
  return locked;
}
WATTLE_UNCHECKED void Mutex::Await(const Condition& condition) {
  static AwaitMutex* const next =
      Next<AwaitMutex>("_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE");
  __tsan_release(this);
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  next(this, condition);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  __tsan_acquire(this);
}
WATTLE_UNCHECKED bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static AwaitMutexFor* const next = Next<AwaitMutexFor>(
      "_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  __tsan_release(this);
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  const bool met = next(this, condition, timeout);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  __tsan_acquire(this);
  return met;
}

// A wait releases the mutex and acquires it again inside the library.
WATTLE_UNCHECKED void CondVar::Wait(Mutex* mutex) {
  static auto* const next =
      Next<void(CondVar*, Mutex*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  next(this, mutex);
  __tsan_acquire(mutex);
}
WATTLE_UNCHECKED bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static auto* const next = Next<bool(CondVar*, Mutex*, Duration)>(
      "_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mutex);
  const bool timed_out = next(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}
WATTLE_UNCHECKED bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static auto* const next = Next<bool(CondVar*, Mutex*, Time)>(
      "_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool timed_out = next(this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

WATTLE_UNCHECKED void Notification::Notify() {
  static auto* const next = Next<void(Notification*)>("_ZN4absl7debian312Notification6NotifyEv");
  __tsan_release(this);
  next(this);
}
WATTLE_UNCHECKED void Notification::WaitForNotification() const {
  static auto* const next =
      Next<void(const Notification*)>("_ZNK4absl7debian312Notification19WaitForNotificationEv");
  next(this);
  __tsan_acquire(const_cast<Notification*>(this));
}
WATTLE_UNCHECKED bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  static auto* const next = Next<bool(const Notification*, Duration)>(
      "_ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE");
  const bool notified = next(this, timeout);
  if (notified) {
    __tsan_acquire(const_cast<Notification*>(this));
  }
  return notified;
}

// The thread that drops the last reference deletes data that others read before they dropped
// theirs.
WATTLE_UNCHECKED void Status::UnrefNonInlined(uintptr_t rep) {
  static auto* const next = Next<void(uintptr_t)>("_ZN4absl7debian36Status15UnrefNonInlinedEm");
  __tsan_release(reinterpret_cast<void*>(rep));
  __tsan_acquire(reinterpret_cast<void*>(rep));
  next(rep);
}

}  // namespace debian3
}  // namespace absl
