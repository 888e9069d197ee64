// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compiled kernels in a directory: a file each, "<hash of its name>.kernel", whose first line is
// the SHA-256 of the rest. What does not fit its hash is as if it were not there. A job only reads:
// what a job could write there, the next one would run. Thread-safe between processes: a file
// appears whole.
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
  // Who keeps what was compiled, or only finds it.
  enum class Use { kFind, kFindAndKeep };

  // directory: empty: there is none, and nothing is kept.
  KernelCache(std::string directory, Use use) : directory_(std::move(directory)), use_(use) {}

  // of: all that a compiled kernel depends on: sources, compiler and its options, driver,
  // architecture.
  [[nodiscard]] std::optional<std::string> Find(absl::Span<const std::string> of) const;
  // OK without a word where nothing is to be kept; else the errors of writing.
  absl::Status Keep(absl::Span<const std::string> of, absl::string_view binary) const;

  // Whether what is compiled now is compiled again by the next process.
  [[nodiscard]] bool keeps_nothing() const { return directory_.empty() || use_ == Use::kFind; }

  // Where a kernel of this name lies.
  [[nodiscard]] std::string PathOf(absl::Span<const std::string> of) const;

 private:
  std::string directory_;
  Use use_;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_KERNEL_CACHE_H_
