// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The functions of a library that was opened when the program ran (dlopen), found by their names.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_LIBRARY_FUNCTIONS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_LIBRARY_FUNCTIONS_H_

#include <dlfcn.h>

namespace wattle::cuda {

class LibraryFunctions {
 public:
  // library: of dlopen.
  explicit LibraryFunctions(void* library) : library_(library) {}

  // Null where the library has none of that name.
  template <typename Function>
  void FindIfThere(const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(dlsym(library_, name));
  }
  // The same, for what the program cannot do without.
  template <typename Function>
  void Find(const char* name, Function*& function) {
    FindIfThere(name, function);
    if (function == nullptr) {
      missing_ = name;
    }
  }

  // One that Find did not find; null: it found all.
  [[nodiscard]] const char* missing() const { return missing_; }

 private:
  void* library_;
  const char* missing_ = nullptr;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_LIBRARY_FUNCTIONS_H_
