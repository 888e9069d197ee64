// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a driver's library with two devices, a Xavier's GPU and an Orin's. Only the Orin's
// reports that it shares the host's memory.
#include <cstddef>

extern "C" {

int cuInit(unsigned int /*flags*/) {
  return 0;
}

int cuDeviceGet(int* handle, int ordinal) {
  *handle = 40 + ordinal;
  return ordinal < 2 ? 0 : 101;  // CUDA_ERROR_INVALID_DEVICE
}

int cuDeviceGetAttribute(int* value, int attribute, int handle) {
  const bool orin = handle == 41;
  *value = attribute == 75   ? (orin ? 8 : 7)
           : attribute == 76 ? (orin ? 7 : 2)
           : attribute == 18 ? (orin ? 1 : 0)
                             : -1;
  return 0;
}

int cuDeviceTotalMem_v2(size_t* bytes, int handle) {
  *bytes = (size_t{1} << 30) * (handle == 41 ? 8 : 24);
  return handle == 40 || handle == 41 ? 0 : 101;
}

int cuMemGetInfo_v2(size_t* free, size_t* total) {
  *total = size_t{24} << 30;
  *free = size_t{23} << 30;
  return 0;
}

}  // extern "C"
