// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/libtorch_cuda.h"

#include <dlfcn.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include <c10/core/Allocator.h>

namespace wattle::engine {
namespace {

constexpr char kCuda[] = "/libtorch_cuda.so";
// Linked with NVRTC, whose folder only this library has in its search path.
constexpr char kNvrtc[] = "/libcaffe2_nvrtc.so";

}  // namespace

std::string FolderOfLibtorch() {
  Dl_info found = {};
  if (dladdr(reinterpret_cast<const void*>(&c10::GetAllocator), &found) == 0 ||
      found.dli_fname == nullptr) {
    return "";
  }
  const std::string path = found.dli_fname;
  const size_t end = path.rfind('/');
  return end == std::string::npos ? "" : path.substr(0, end);
}

absl::Status LoadCudaOfLibtorch(const std::string& folder) {
  const std::string library = folder + kCuda;
  if (access(library.c_str(), F_OK) != 0) {
    return absl::OkStatus();
  }
  // Global, because the library registers itself with libtorch and kernel_device.cc searches it for
  // a function.
  if (dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    const char* const reason = dlerror();  // NOLINT(concurrency-mt-unsafe)
    return absl::UnavailableError(absl::StrCat(
        "libtorch's library for GPUs does not load: ", reason != nullptr ? reason : library.c_str(),
        "; install libtorch again, or use \"cpu\""));
  }
  return absl::OkStatus();
}

void PreferNvrtcOfLibtorch() {
  // Never closed, so that NVRTC is then found by its name among the loaded libraries.
  static_cast<void>(dlopen((FolderOfLibtorch() + kNvrtc).c_str(), RTLD_NOW | RTLD_LOCAL));
}

}  // namespace wattle::engine
