// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/kernel_compiler.h"

#include <dlfcn.h>

#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "base/status_macros.h"
#include "worker/engine/device/cuda/library_functions.h"

namespace wattle::cuda {
namespace {

// Constants of NVRTC, from nvrtc.h.
constexpr int kNvrtcSuccess = 0;
constexpr int kInvalidOption = 5;
constexpr int kOldestMajor = 11;

constexpr const char* kStandard = "--std=c++17";

// NVRTC opens its second library by name, and PyTorch's wheels have both in a folder that the
// dynamic linker does not search. Once that library is loaded by its path, the name finds it.
void LoadBuiltins(const void* of_nvrtc, int major, int minor) {
  Dl_info nvrtc = {};
  if (dladdr(of_nvrtc, &nvrtc) == 0 || nvrtc.dli_fname == nullptr) {
    return;
  }
  const absl::string_view path = nvrtc.dli_fname;
  const absl::string_view folder = path.substr(0, path.rfind('/') + 1);
  const std::string builtins = absl::StrCat(folder, "libnvrtc-builtins.so.", major, ".", minor);
  static_cast<void>(dlopen(builtins.c_str(), RTLD_NOW | RTLD_GLOBAL));  // never closed
}

// "norm.cu(4): error: …": the first such line of NVRTC's log, or the log's first line.
absl::string_view FirstError(absl::string_view log) {
  const std::vector<absl::string_view> lines = absl::StrSplit(log, '\n');
  for (const absl::string_view line : lines) {
    if (absl::StrContains(line, "error:")) {
      return line;
    }
  }
  return lines.front();
}

}  // namespace

struct KernelCompiler::Functions {
  int (*version)(int* major, int* minor) = nullptr;
  int (*create)(void** program, const char* source, const char* name, int headers,
                const char* const* texts, const char* const* names) = nullptr;
  int (*destroy)(void** program) = nullptr;
  int (*compile)(void* program, int count, const char* const* options) = nullptr;
  int (*log_size)(void* program, size_t* bytes) = nullptr;
  int (*log)(void* program, char* out) = nullptr;
  int (*ptx_size)(void* program, size_t* bytes) = nullptr;
  int (*ptx)(void* program, char* out) = nullptr;
  // Since CUDA 11.1; null before.
  int (*code_size)(void* program, size_t* bytes) = nullptr;
  int (*code)(void* program, char* out) = nullptr;
};

absl::Span<const char* const> NvrtcLibraries() {
  static constexpr const char* kLibraries[] = {"libnvrtc.so.13", "libnvrtc.so.12",
                                               "libnvrtc.so.11.2", "libnvrtc.so"};
  return kLibraries;
}

KernelCompiler::KernelCompiler() : functions_(std::make_unique<Functions>()) {}
KernelCompiler::~KernelCompiler() = default;

absl::StatusOr<std::unique_ptr<KernelCompiler>> KernelCompiler::Open(
    absl::Span<const char* const> libraries) {
  for (const char* name : libraries) {
    void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);  // never closed
    if (library != nullptr) {
      std::unique_ptr<KernelCompiler> compiler(new KernelCompiler);
      WATTLE_RETURN_IF_ERROR(compiler->FindFunctions(library, name));
      return compiler;
    }
  }
  return absl::NotFoundError(
      "NVRTC (libnvrtc.so) is not found; install the CUDA toolkit's cuda-nvrtc of this libtorch");
}

absl::Status KernelCompiler::FindFunctions(void* library, const std::string& name) {
  LibraryFunctions functions(library);
  functions.Find("nvrtcVersion", functions_->version);
  functions.Find("nvrtcCreateProgram", functions_->create);
  functions.Find("nvrtcDestroyProgram", functions_->destroy);
  functions.Find("nvrtcCompileProgram", functions_->compile);
  functions.Find("nvrtcGetProgramLogSize", functions_->log_size);
  functions.Find("nvrtcGetProgramLog", functions_->log);
  functions.Find("nvrtcGetPTXSize", functions_->ptx_size);
  functions.Find("nvrtcGetPTX", functions_->ptx);
  functions.FindIfThere("nvrtcGetCUBINSize", functions_->code_size);
  functions.FindIfThere("nvrtcGetCUBIN", functions_->code);
  if (functions.missing() != nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        name, ": has no ", functions.missing(), "; install the CUDA toolkit's cuda-nvrtc again"));
  }
  if (functions_->version(&major_, &minor_) != kNvrtcSuccess || major_ < kOldestMajor) {
    return absl::FailedPreconditionError(absl::StrCat(
        name, ": NVRTC ", major_, ".", minor_, "; the kernels want ", kOldestMajor, ".0 or newer"));
  }
  LoadBuiltins(reinterpret_cast<const void*>(functions_->version), major_, minor_);
  return absl::OkStatus();
}

std::string KernelCompiler::Identity() const {
  return absl::StrCat("nvrtc ", major_, ".", minor_, " ", kStandard,
                      functions_->code != nullptr ? " code" : " ptx");
}

absl::StatusOr<std::string> KernelCompiler::Result(void* program) const {
  const bool code = functions_->code != nullptr && functions_->code_size != nullptr;
  size_t bytes = 0;
  if ((code ? functions_->code_size : functions_->ptx_size)(program, &bytes) != kNvrtcSuccess) {
    return absl::UnimplementedError("NVRTC gives nothing of what it compiled");
  }
  std::string result(bytes, '\0');
  if ((code ? functions_->code : functions_->ptx)(program, result.data()) != kNvrtcSuccess) {
    return absl::UnimplementedError("NVRTC gives nothing of what it compiled");
  }
  return result;
}

absl::StatusOr<std::string> KernelCompiler::Compile(const KernelFile& source,
                                                    absl::Span<const KernelFile> headers,
                                                    Architecture architecture) {
  std::vector<const char*> texts;
  std::vector<const char*> names;
  for (const KernelFile& header : headers) {
    texts.push_back(header.text);
    names.push_back(header.name);
  }
  void* program = nullptr;
  if (functions_->create(&program, source.text, source.name, static_cast<int>(headers.size()),
                         texts.data(), names.data()) != kNvrtcSuccess) {
    return absl::UnimplementedError(absl::StrCat(source.name, ": NVRTC does not take it"));
  }
  const auto destroy = absl::MakeCleanup([&] { functions_->destroy(&program); });
  const std::string target =
      absl::StrCat("--gpu-architecture=", functions_->code != nullptr ? "sm_" : "compute_",
                   architecture.major, architecture.minor);
  const char* const options[] = {kStandard, target.c_str()};
  const int result = functions_->compile(program, 2, options);
  if (result == kNvrtcSuccess) {
    return Result(program);
  }
  if (result == kInvalidOption) {
    return absl::UnimplementedError(absl::StrCat(
        "NVRTC ", major_, ".", minor_, " knows no GPU of compute capability ", architecture.major,
        ".", architecture.minor, "; install the cuda-nvrtc of a CUDA that serves this GPU"));
  }
  size_t bytes = 0;
  std::string log;
  if (functions_->log_size(program, &bytes) == kNvrtcSuccess) {
    log.resize(bytes);
    functions_->log(program, log.data());
  }
  return absl::UnimplementedError(absl::StrCat(
      "NVRTC ", major_, ".", minor_, " does not compile ", source.name, ": ",
      FirstError(log.c_str()), "; install the cuda-nvrtc of a newer CUDA, and report this line"));
}

}  // namespace wattle::cuda
