// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compiled kernels in a directory: a file each, "<hash of its name>.kernel", whose first line is
// the SHA-256 of the rest. A file that does not match its hash counts as missing. A job only reads,
// because the next job would run anything that it wrote. Safe between processes: files are created
// atomically.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_CACHE_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_CACHE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace wattle::cuda {

class KernelCache {
 public:
  // Whether compiled kernels are stored, or only looked up.
  enum class Use { kFind, kFindAndKeep };

  // directory: empty: no cache, nothing is stored.
  KernelCache(std::string directory, Use use) : directory_(std::move(directory)), use_(use) {}

  // of: everything that a compiled kernel depends on: sources, compiler and its options, driver,
  // architecture.
  [[nodiscard]] std::optional<std::string> Find(absl::Span<const std::string> of) const;
  // OK if nothing is to be stored; else the errors of writing.
  absl::Status Keep(absl::Span<const std::string> of, absl::string_view binary) const;

  // Whether the next process will compile again what this one compiles.
  [[nodiscard]] bool keeps_nothing() const { return directory_.empty() || use_ == Use::kFind; }

  // The path of the kernel with this name.
  [[nodiscard]] std::string PathOf(absl::Span<const std::string> of) const;

 private:
  std::string directory_;
  Use use_;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_CACHE_H_
