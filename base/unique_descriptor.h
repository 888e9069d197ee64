// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A file descriptor that is closed with its owner. Not thread-safe.
#ifndef WATTLE_BASE_UNIQUE_DESCRIPTOR_H_
#define WATTLE_BASE_UNIQUE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace wattle {

class UniqueDescriptor {
 public:
  UniqueDescriptor() = default;
  explicit UniqueDescriptor(int descriptor) : descriptor_(descriptor) {}
  UniqueDescriptor(UniqueDescriptor&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  UniqueDescriptor& operator=(UniqueDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  UniqueDescriptor(const UniqueDescriptor&) = delete;
  UniqueDescriptor& operator=(const UniqueDescriptor&) = delete;
  ~UniqueDescriptor() {
    if (descriptor_ >= 0) {
      close(descriptor_);
    }
  }

  [[nodiscard]] int get() const { return descriptor_; }  // -1: none
  // The descriptor is the caller's from now on.
  [[nodiscard]] int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_ = -1;
};

}  // namespace wattle

#endif  // WATTLE_BASE_UNIQUE_DESCRIPTOR_H_
