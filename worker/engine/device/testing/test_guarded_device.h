// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a second device that every machine has. The addresses of its tensors must not be read:
// a host that reads them ends the test, where on a GPU it would read nonsense. The device's
// operators find the same memory at other addresses. These operators are those of libtorch's CPU,
// so results equal the CPU's to the last bit if a pass computes the same; products of two-byte
// factors are FP32 sums, rounded once, as on a GPU. Costs of a GPU are counted: operators, copies
// between the two memories, and waits of the host for the device.
//
// A copy to the device is a wait unless it is non_blocking; a copy to the host, and every operator
// whose result the host needs, always are. A tensor of the host among those of the device is an
// error unless it is a scalar, as on CUDA. Reasons: docs/adr/0045-a-guarded-device.md.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_TESTING_TEST_GUARDED_DEVICE_H_
#define WATTLE_WORKER_ENGINE_DEVICE_TESTING_TEST_GUARDED_DEVICE_H_

#include <cstdint>

#include <c10/core/Device.h>

namespace wattle::engine {

// The name of the device in jobs.
inline constexpr char kGuardedDevice[] = "privateuseone";

// Work of the device so far.
struct DeviceWork {
  int64_t operators = 0;  // except views
  int64_t uploaded_bytes = 0;
  int64_t downloaded_bytes = 0;
  int64_t largest_upload_bytes = 0;  // of the largest copy
  int64_t made_bytes = 0;            // of tensors
  int64_t largest_made_bytes = 0;    // of the largest tensor
  int64_t peak_bytes = 0;            // peak of live tensors, including those from before
  int64_t waits = 0;                 // waits of the host for all queued work of the device
  // Waits of the host for earlier work while the device still has later work: the device is not
  // idle.
  int64_t late_waits = 0;
};

// While an object exists, the host replaces the device: emulated kernels read at its addresses.
class OpenedGuardedMemory {
 public:
  OpenedGuardedMemory();
  ~OpenedGuardedMemory();
  OpenedGuardedMemory(const OpenedGuardedMemory&) = delete;
  OpenedGuardedMemory& operator=(const OpenedGuardedMemory&) = delete;
};

// The device; calling this links it into the program.
[[nodiscard]] at::Device GuardedDevice();

// Since the last ForgetWork. Only one thread uses the device.
[[nodiscard]] DeviceWork WorkOfGuardedDevice();
// Bytes of the live tensors.
[[nodiscard]] int64_t BytesOnGuardedDevice();
// From now on the device has no memory for more bytes than these at the same time.
void LimitGuardedMemory(int64_t bytes);
void ForgetWork();

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_TESTING_TEST_GUARDED_DEVICE_H_
