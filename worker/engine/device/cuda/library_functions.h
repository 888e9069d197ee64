// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The functions of a library opened at run time (dlopen), found by their names.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_LIBRARY_FUNCTIONS_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_LIBRARY_FUNCTIONS_H_

#include <dlfcn.h>

namespace wattle::cuda {

class LibraryFunctions {
 public:
  // library: a handle of dlopen.
  explicit LibraryFunctions(void* library) : library_(library) {}

  // Null if the library has no function of that name.
  template <typename Function>
  void FindIfThere(const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(dlsym(library_, name));
  }
  // Same, for functions that the program requires.
  template <typename Function>
  void Find(const char* name, Function*& function) {
    FindIfThere(name, function);
    if (function == nullptr) {
      missing_ = name;
    }
  }

  // A name that Find did not find; null: all were found.
  [[nodiscard]] const char* missing() const { return missing_; }

 private:
  void* library_;
  const char* missing_ = nullptr;
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_LIBRARY_FUNCTIONS_H_
