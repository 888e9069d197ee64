// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: if WATTLE_TEST_KERNELS is set, the guarded device has the kernels from the start of
// the program.
#include <cstdlib>

#include "worker/engine/device/testing/test_guarded_launcher.h"

namespace wattle::engine {
namespace {

const KernelsOfGuardedDevice* const kKernels =
    std::getenv("WATTLE_TEST_KERNELS") != nullptr  // NOLINT(concurrency-mt-unsafe)
        ? new KernelsOfGuardedDevice
        : nullptr;

}  // namespace
}  // namespace wattle::engine
