// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Turns libtorch's exceptions into statuses. Every public function of the engine runs its body
// through AtTorchBorder, with gradients off: the backward pass is our own. Thread-safe.
#ifndef WATTLE_WORKER_ENGINE_TORCH_BORDER_H_
#define WATTLE_WORKER_ENGINE_TORCH_BORDER_H_

#include <exception>
#include <new>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>

namespace wattle::engine {

inline constexpr char kLeanerJob[] = "a smaller batch_size or sequence_length";

// The remedy for an error of a GPU; empty: not such an error.
inline absl::string_view RemedyOfGpu(absl::string_view text) {
  if (!absl::StrContains(text, "CUDA error")) {
    return "";
  }
  if (absl::StrContains(text, "no kernel image")) {
    return "; install a libtorch that was built for this GPU, or use \"cpu\"";
  }
  return absl::StrContains(text, "driver version is insufficient")
             ? "; update NVIDIA's driver"
             : "; see dmesg for the GPU's own message (Xid), and start the worker again";
}

// kResourceExhausted for memory, kInternal for all other errors; with the first line of libtorch's
// text. leaner: settings that take less memory.
inline absl::Status FromTorchException(absl::string_view what, const std::exception& error,
                                       absl::string_view leaner = kLeanerJob) {
  const absl::string_view all = error.what();
  const absl::string_view text = all.substr(0, all.find('\n'));
  // On a Jetson, which has no NVML, libtorch's allocator fails with an assertion of its own.
  const bool jetsons_allocator =
      absl::StrContains(all, "INTERNAL ASSERT") && absl::StrContains(all, "CUDACachingAllocator");
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr || jetsons_allocator ||
      absl::StrContains(all, "allocate memory") || absl::StrContains(all, "out of memory") ||
      absl::StrContains(all, "STATUS_ALLOC_FAILED")) {  // cuBLAS's workspace
    return absl::ResourceExhaustedError(
        absl::StrCat(what, ": not enough memory; use ", leaner, " (", text, ")"));
  }
  return absl::InternalError(absl::StrCat(what, ": libtorch: ", text, RemedyOfGpu(all)));
}

// body: () → absl::Status or absl::StatusOr<T>.
template <typename Body>
auto AtTorchBorder(absl::string_view what, Body body, absl::string_view leaner = kLeanerJob)
    -> decltype(body()) {
  // The engine has its own backward pass, so operators bypass libtorch's autograd bookkeeping: on a
  // GPU, launching operators dominates the cost of a small model's step.
  const at::NoGradGuard no_gradients;
  const at::AutoDispatchBelowADInplaceOrView past_autograd;
  try {
    return body();
  } catch (const std::exception& error) {
    return FromTorchException(what, error, leaner);
  }
}

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TORCH_BORDER_H_
