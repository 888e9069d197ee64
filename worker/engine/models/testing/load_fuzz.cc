// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// libFuzzer's entry: its input is the weights file that LoadModel reads (load_fuzz_internal.h).
// `./dev fuzz` builds it with clang and begins with the valid files, which this program writes when
// WATTLE_FUZZ_CORPUS names a directory.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "models/testing/fuzz_files_internal.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/testing/load_fuzz_internal.h"

namespace {

std::string Prepare() {
  const std::string directory = wattle::models::FuzzDirectory("wattle-load-fuzz");
  WATTLE_CHECK(wattle::engine::SetThreads(1).ok(), "one thread is always there");
  WATTLE_CHECK(wattle::engine::MakeDirectoryToLoad(directory).ok(), "it can be written");
  wattle::models::WriteFuzzCorpus([&] { return wattle::engine::WeightsToLoad(directory); });
  return directory;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string directory = Prepare();
  (void)wattle::engine::LookAtLoad(directory, {reinterpret_cast<const char*>(data), size});
  return 0;
}
