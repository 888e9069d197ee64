// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A libnvidia-ml for tests: two GPUs, of which only the first counts energy. WATTLE_FAKE_NVML in
// the environment changes this: with "init", "denied" or "power" that call fails; with "counts"
// both GPUs count energy.
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr int kNotSupported = 3;
constexpr int kNoPermission = 4;
constexpr int kLost = 15;

std::string Mode() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no test changes the environment while it runs
  const char* mode = std::getenv("WATTLE_FAKE_NVML");
  return mode != nullptr ? mode : "";
}

}  // namespace

// NOLINTBEGIN(readability-identifier-naming, google-runtime-int): NVML's names and types
extern "C" {

int nvmlInit_v2() {
  return Mode() == "init" ? 9 : Mode() == "denied" ? kNoPermission : 0;
}
const char* nvmlErrorString(int code) {
  return code == 9       ? "Driver Not Loaded"
         : code == kLost ? "GPU is lost"
                         : "Insufficient Permissions";
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  static char gpus[2];
  *device = &gpus[index];
  return 0;
}
int nvmlDeviceGetName(void* /*device*/, char* name, unsigned size) {
  std::strncpy(name, "NVIDIA RTX A2000", size);
  return 0;
}
int nvmlDeviceGetPowerUsage(void* /*device*/, unsigned* milliwatts) {
  *milliwatts = 26'500;
  return Mode() == "power" ? kLost : 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  void* first = nullptr;
  nvmlDeviceGetHandleByIndex_v2(0, &first);
  *millijoules = 7'000'123'456;
  return device == first || Mode() == "counts" ? 0 : kNotSupported;
}
int nvmlDeviceGetTemperature(void* /*device*/, unsigned sensor, unsigned* celsius) {
  *celsius = 41;
  return sensor == 0 ? 0 : kNotSupported;
}
}
// NOLINTEND(readability-identifier-naming, google-runtime-int)
