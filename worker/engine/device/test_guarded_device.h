// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a device beside the host that every machine has. At the addresses of its tensors
// nobody may read: a host that does ends the test, as on a GPU it would read nonsense. The device's
// operators find the same memory at other addresses. They are those of libtorch's CPU, so results
// are the CPU's to the last bit where a pass computes the same; products of factors of two bytes
// are FP32 sums, rounded once. What costs time on a GPU is
// counted: operators, copies between the two memories, and waits of the host for the device.
//
// A copy to the device is a wait unless it is made with non_blocking; a copy to the host, and every
// operator whose result the host has to know, always are. A tensor of the host among those of the
// device is an error unless it is a scalar, as on CUDA. Why so:
// docs/adr/0045-a-guarded-device.md.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_TEST_GUARDED_DEVICE_H_
#define WATTLE_WORKER_ENGINE_DEVICE_TEST_GUARDED_DEVICE_H_

#include <cstdint>

#include <c10/core/Device.h>

namespace wattle::engine {

// The name that jobs give the device.
inline constexpr char kGuardedDevice[] = "privateuseone";

// What the device has done.
struct DeviceWork {
  int64_t operators = 0;  // views are none
  int64_t uploaded_bytes = 0;
  int64_t downloaded_bytes = 0;
  int64_t largest_upload_bytes = 0;  // of one copy
  int64_t made_bytes = 0;            // of tensors
  int64_t largest_made_bytes = 0;    // of one tensor
  int64_t peak_bytes = 0;            // of tensors at once, those from before included
  int64_t waits = 0;                 // of the host for all that it has asked of the device
  // Of the host for earlier work, while the device has later work to do: it is not idle.
  int64_t late_waits = 0;
};

// While one is there, the host stands for the device: kernels that are emulated read at its
// addresses.
class OpenedGuardedMemory {
 public:
  OpenedGuardedMemory();
  ~OpenedGuardedMemory();
  OpenedGuardedMemory(const OpenedGuardedMemory&) = delete;
  OpenedGuardedMemory& operator=(const OpenedGuardedMemory&) = delete;
};

// The device; asking for it puts it into the program.
[[nodiscard]] at::Device GuardedDevice();

// Since the last ForgetWork. One thread uses the device.
[[nodiscard]] DeviceWork WorkOfGuardedDevice();
// Of the tensors that are there now.
[[nodiscard]] int64_t BytesOnGuardedDevice();
// From now on there is no memory for more bytes than these at once.
void LimitGuardedMemory(int64_t bytes);
void ForgetWork();

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_DEVICE_TEST_GUARDED_DEVICE_H_
