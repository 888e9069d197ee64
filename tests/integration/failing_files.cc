// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a layer before the C library (LD_PRELOAD) that makes the writes below
// WATTLE_FAILING_DIRECTORY fail as those of a sick disk do. The file WATTLE_FAILING_KIND names says
// how, and is read at each call: "erofs", "eio", "full", "slow"; none: the disk is healthy.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

enum class Kind { kHealthy, kReadOnly, kError, kFull, kSlow };

constexpr time_t kSlowSeconds = 5;

template <typename Function>
Function Next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// By system calls: the functions of the C library are those of this file.
Kind KindNow() {
  const char* const file = getenv("WATTLE_FAILING_KIND");  // NOLINT(concurrency-mt-unsafe)
  const long descriptor = file == nullptr ? -1 : syscall(SYS_openat, AT_FDCWD, file, O_RDONLY, 0);
  if (descriptor < 0) {
    return Kind::kHealthy;
  }
  char text[16] = {};
  const long size = syscall(SYS_read, descriptor, text, sizeof(text) - 1);
  syscall(SYS_close, descriptor);
  if (size <= 0) {
    return Kind::kHealthy;
  }
  return strncmp(text, "erofs", 5) == 0  ? Kind::kReadOnly
         : strncmp(text, "eio", 3) == 0  ? Kind::kError
         : strncmp(text, "full", 4) == 0 ? Kind::kFull
         : strncmp(text, "slow", 4) == 0 ? Kind::kSlow
                                         : Kind::kHealthy;
}

bool IsBelow(const char* path) {
  const char* const directory =
      getenv("WATTLE_FAILING_DIRECTORY");  // NOLINT(concurrency-mt-unsafe)
  return directory != nullptr && path != nullptr &&
         strncmp(path, directory, strlen(directory)) == 0;
}

// What the disk has, if the open file is on it.
Kind KindOf(int descriptor) {
  const Kind kind = KindNow();
  if (kind == Kind::kHealthy) {
    return kind;
  }
  char link[64];
  char path[4096];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
  const ssize_t size = readlink(link, path, sizeof(path) - 1);
  if (size <= 0) {
    return Kind::kHealthy;
  }
  path[size] = '\0';
  return IsBelow(path) ? kind : Kind::kHealthy;
}

int Fail(int error) {
  errno = error;
  return -1;
}

// The directory itself, too.
bool IsAt(const char* path) {
  const char* const directory =
      getenv("WATTLE_FAILING_DIRECTORY");  // NOLINT(concurrency-mt-unsafe)
  const size_t size = directory == nullptr ? 0 : strlen(directory) - 1;
  return IsBelow(path) || (size > 0 && strlen(path) == size && strncmp(path, directory, size) == 0);
}

// Whether a call that changes this name fails.
bool IsRefused(const char* path) {
  return IsBelow(path) && KindNow() == Kind::kReadOnly;
}

// 0, or the errno of a write or a sync.
int WriteError(int descriptor) {
  switch (KindOf(descriptor)) {
    case Kind::kError:
      return EIO;
    case Kind::kFull:
      return ENOSPC;
    case Kind::kReadOnly:
      return EROFS;
    case Kind::kSlow:
    case Kind::kHealthy:
      break;
  }
  return 0;
}

void WaitIfSlow(int descriptor) {
  if (KindOf(descriptor) == Kind::kSlow) {
    const timespec wait = {.tv_sec = kSlowSeconds, .tv_nsec = 0};
    nanosleep(&wait, nullptr);
  }
}

bool MayWrite(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

// A lock that is there may be opened with O_CREAT on a disk that is read-only.
bool IsRefusedOpen(const char* path, int flags) {
  return IsRefused(path) && MayWrite(flags);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = static_cast<mode_t>((flags & O_CREAT) != 0 ? va_arg(rest, int) : 0);
  va_end(rest);
  static const auto next = Next<int (*)(const char*, int, ...)>("open");
  return IsRefusedOpen(path, flags) ? Fail(EROFS) : next(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = static_cast<mode_t>((flags & O_CREAT) != 0 ? va_arg(rest, int) : 0);
  va_end(rest);
  static const auto next = Next<int (*)(const char*, int, ...)>("open64");
  return IsRefusedOpen(path, flags) ? Fail(EROFS) : next(path, flags, mode);
}

ssize_t write(int descriptor, const void* bytes, size_t size) {
  static const auto next = Next<ssize_t (*)(int, const void*, size_t)>("write");
  const int error = WriteError(descriptor);
  return error != 0 ? Fail(error) : next(descriptor, bytes, size);
}

ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t at) {
  static const auto next = Next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  const int error = WriteError(descriptor);
  return error != 0 ? Fail(error) : next(descriptor, bytes, size, at);
}

int fsync(int descriptor) {
  static const auto next = Next<int (*)(int)>("fsync");
  WaitIfSlow(descriptor);
  const int error = WriteError(descriptor);
  return error != 0 ? Fail(error) : next(descriptor);
}

int fdatasync(int descriptor) {
  static const auto next = Next<int (*)(int)>("fdatasync");
  WaitIfSlow(descriptor);
  const int error = WriteError(descriptor);
  return error != 0 ? Fail(error) : next(descriptor);
}

int rename(const char* from, const char* to) noexcept {
  static const auto next = Next<int (*)(const char*, const char*)>("rename");
  return IsRefused(to) ? Fail(EROFS) : next(from, to);
}

int chmod(const char* path, mode_t mode) noexcept {
  static const auto next = Next<int (*)(const char*, mode_t)>("chmod");
  return IsAt(path) && KindNow() == Kind::kReadOnly ? Fail(EROFS) : next(path, mode);
}

int link(const char* from, const char* to) noexcept {
  static const auto next = Next<int (*)(const char*, const char*)>("link");
  return IsRefused(to) ? Fail(EROFS) : next(from, to);
}

int unlink(const char* path) noexcept {
  static const auto next = Next<int (*)(const char*)>("unlink");
  return IsRefused(path) ? Fail(EROFS) : next(path);
}

int remove(const char* path) noexcept {
  static const auto next = Next<int (*)(const char*)>("remove");
  return IsRefused(path) ? Fail(EROFS) : next(path);
}

}  // extern "C"
