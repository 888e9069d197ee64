// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a driver's library whose GPU is the host (host_gpu.h). A module is its image; GPU 0 is
// an Orin's, GPU 1 one that no NVRTC knows.
#include <cstdint>
#include <cstring>
#include <vector>

#include "worker/engine/device/cuda/host_gpu.h"
#include "worker/engine/device/cuda/host_kernels.h"

namespace {

int load_answer = 0;
int launch_answer = 0;
int graph_answer = 0;
int driver_version = 12040;

// CUDA_KERNEL_NODE_PARAMS_v1 of cuda.h.
struct KernelNode {
  void* function;
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  void** arguments;
  void** extra;
};

struct Node {
  const wattle::cuda::HostKernel* kernel;
  unsigned blocks;
  unsigned threads;
  std::vector<char> arguments;
};
using Graph = std::vector<Node*>;

}  // namespace

extern "C" {

// What the next calls answer.
void SetTestDriver(int version, int load, int launch) {
  driver_version = version;
  load_answer = load;
  launch_answer = launch;
}

// What making a graph answers.
void SetTestGraphs(int answer) {
  graph_answer = answer;
}

int cuInit(unsigned /*flags*/) {
  return 0;
}
int cuDriverGetVersion(int* version) {
  *version = driver_version;
  return 0;
}
int cuDeviceGet(int* handle, int ordinal) {
  *handle = ordinal;
  return ordinal < 2 ? 0 : 101;  // CUDA_ERROR_INVALID_DEVICE
}
int cuDeviceGetAttribute(int* value, int attribute, int handle) {
  const bool orin = handle == 0;
  *value = attribute == 75 ? (orin ? 8 : 99) : (orin ? 7 : 0);
  return 0;
}
int cuDevicePrimaryCtxRetain(void** context, int /*handle*/) {
  *context = context;
  return 0;
}
int cuCtxSetCurrent(void* /*context*/) {
  return 0;
}
int cuModuleLoadData(void** module, const void* image) {
  static char one_module = 0;
  *module = &one_module;
  return std::strncmp(static_cast<const char*>(image), "code", 4) == 0 ? load_answer : 200;
}
int cuModuleGetFunction(void** function, void* /*module*/, const char* name) {
  *function = const_cast<wattle::cuda::HostKernel*>(wattle::cuda::FindHostKernel(name));
  return *function != nullptr ? 0 : 500;  // CUDA_ERROR_NOT_FOUND
}
int cuLaunchKernel(void* function, unsigned blocks, unsigned /*y*/, unsigned /*z*/,
                   unsigned threads, unsigned /*block_y*/, unsigned /*block_z*/,
                   unsigned /*shared*/, void* /*stream*/, void** arguments, void** /*extra*/) {
  if (launch_answer == 0) {
    const auto* kernel = static_cast<const wattle::cuda::HostKernel*>(function);
    const auto counts = wattle::cuda::RunOnHost(
        {.blocks = static_cast<int>(blocks), .threads = static_cast<int>(threads)}, 1,
        [&] { kernel->run(arguments[0]); });
    return counts.ok() ? 0 : 719;  // CUDA_ERROR_LAUNCH_FAILED
  }
  return launch_answer;
}
int cuMemcpyHtoDAsync_v2(uintptr_t to, const void* from, size_t bytes, void* /*stream*/) {
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return launch_answer;
}
int cuMemcpyDtoHAsync_v2(void* to, uintptr_t from, size_t bytes, void* /*stream*/) {
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return 0;
}
int cuStreamSynchronize(void* /*stream*/) {
  return launch_answer;
}
int cuGraphCreate(void** graph, unsigned /*flags*/) {
  *graph = new Graph;
  return 0;
}
// Nodes that do not follow the one before are refused.
int cuGraphAddKernelNode(void** node, void* graph, void* const* after, size_t after_count,
                         const KernelNode* kernel) {
  auto& nodes = *static_cast<Graph*>(graph);
  if (after_count != (nodes.empty() ? 0 : 1) || (after_count == 1 && *after != nodes.back())) {
    return 1;  // CUDA_ERROR_INVALID_VALUE
  }
  const auto* of = static_cast<const wattle::cuda::HostKernel*>(kernel->function);
  const auto* arguments = static_cast<const char*>(kernel->arguments[0]);
  nodes.push_back(
      new Node{of, kernel->grid[0], kernel->block[0], {arguments, arguments + of->argument_bytes}});
  *node = nodes.back();
  return 0;
}
// NOLINTNEXTLINE(google-runtime-int): as cuda.h has it
int cuGraphInstantiateWithFlags(void** made, void* graph, unsigned long long /*flags*/) {
  *made = graph_answer == 0 ? graph : nullptr;
  return graph_answer;
}
int cuGraphLaunch(void* made, void* stream) {
  for (Node* node : *static_cast<Graph*>(made)) {
    void* arguments[] = {node->arguments.data()};
    const int result =
        cuLaunchKernel(const_cast<wattle::cuda::HostKernel*>(node->kernel), node->blocks, 1, 1,
                       node->threads, 1, 1, 0, stream, arguments, nullptr);
    if (result != 0) {
      return result;
    }
  }
  return 0;
}
int cuGraphDestroy(void* graph) {
  for (Node* node : *static_cast<Graph*>(graph)) {
    delete node;
  }
  delete static_cast<Graph*>(graph);
  return 0;
}
int cuGraphExecDestroy(void* /*made*/) {
  return 0;
}
int cuGetErrorName(int error, const char** name) {
  *name = error == 719 ? "CUDA_ERROR_LAUNCH_FAILED" : nullptr;
  return *name != nullptr ? 0 : 1;
}

}  // extern "C"
