// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// libFuzzer's entry: its input is a GGUF file (gguf_fuzz_internal.h). `./dev fuzz` builds it with
// clang and begins with the valid files, which this program writes when WATTLE_FUZZ_CORPUS names a
// directory.
#include <cstdint>
#include <string>

#include "models/testing/fuzz_files_internal.h"
#include "models/testing/gguf_fuzz_internal.h"

namespace {

std::string Prepare() {
  wattle::models::WriteFuzzCorpus(wattle::models::ValidGgufFiles);
  return wattle::models::FuzzDirectory("wattle-gguf-fuzz") + "/model.gguf";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string path = Prepare();
  (void)wattle::models::LookAtGguf(path, {reinterpret_cast<const char*>(data), size});
  return 0;
}
