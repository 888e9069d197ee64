// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a driver's library with two devices, a Xavier's GPU and an Orin's.
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
  *value = attribute == 75 ? (orin ? 8 : 7) : attribute == 76 ? (orin ? 7 : 2) : -1;
  return 0;
}

}  // extern "C"
