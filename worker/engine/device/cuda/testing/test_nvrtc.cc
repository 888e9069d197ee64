// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: an NVRTC library that compiles any source to "code for sm_87" and does not support
// sm_990.
#include <cstddef>
#include <cstring>
#include <string>

namespace {

int major_version = 12;
bool is_broken = false;
std::string code;
constexpr char kLog[] = "norm.cu(3): warning: w\nnorm.cu(4): error: e\n1 error detected\n";

}  // namespace

extern "C" {

void SetTestNvrtc(int major) {
  major_version = major;
}

// Whether all compilations fail from now on.
void SetTestNvrtcBroken(bool broken) {
  is_broken = broken;
}

int nvrtcVersion(int* major, int* minor) {
  *major = major_version;
  *minor = 4;
  return 0;
}
int nvrtcCreateProgram(void** program, const char* /*source*/, const char* /*name*/,
                       int /*headers*/, const char* const* /*texts*/,
                       const char* const* /*names*/) {
  *program = &code;
  return 0;
}
int nvrtcDestroyProgram(void** program) {
  *program = nullptr;
  return 0;
}
int nvrtcCompileProgram(void* /*program*/, int count, const char* const* options) {
  const std::string target = options[count - 1];
  code = "code for " + target.substr(target.find('=') + 1);
  if (target.find("_990") != std::string::npos) {
    return 5;  // NVRTC_ERROR_INVALID_OPTION
  }
  return is_broken ? 6 : 0;  // NVRTC_ERROR_COMPILATION
}
int nvrtcGetProgramLogSize(void* /*program*/, size_t* bytes) {
  *bytes = sizeof(kLog);
  return 0;
}
int nvrtcGetProgramLog(void* /*program*/, char* out) {
  std::memcpy(out, kLog, sizeof(kLog));
  return 0;
}
int nvrtcGetPTXSize(void* /*program*/, size_t* bytes) {
  *bytes = code.size();
  return 0;
}
int nvrtcGetPTX(void* /*program*/, char* out) {
  std::memcpy(out, code.data(), code.size());
  return 0;
}
int nvrtcGetCUBINSize(void* /*program*/, size_t* bytes) {
  *bytes = code.size();
  return 0;
}
int nvrtcGetCUBIN(void* /*program*/, char* out) {
  std::memcpy(out, code.data(), code.size());
  return 0;
}

}  // extern "C"
