// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a driver's library whose GPU is the host (host_gpu.h). A module is its image; GPU 0 is
// an Orin's, GPU 1 has an architecture unknown to NVRTC. With WATTLE_TEST_DRIVER_OF_12_2 the
// library has no graph edges for an early beginning of kernels.
#include <cstdint>
#include <cstring>
#include <vector>

#include "worker/engine/device/cuda/testing/host_gpu.h"
#include "worker/engine/device/cuda/testing/host_kernels.h"

namespace {

int load_answer = 0;
int launch_answer = 0;
int graph_answer = 0;
int early_edge_answer = 0;
int early_graph_answer = 0;
int first_major = 8;
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

// CUgraphEdgeData of cuda.h.
struct GraphEdge {
  unsigned char from_port;
  unsigned char to_port;
  unsigned char type;
  unsigned char reserved[5];
};

enum class Begins { kNever, kInTurn, kEarly };

struct Node {
  Begins begins;
  const wattle::cuda::HostKernel* kernel;
  unsigned blocks;
  unsigned threads;
  std::vector<char> arguments;
};
using Graph = std::vector<Node*>;

const Graph* last_made = nullptr;

}  // namespace

extern "C" {

// Results of the next calls.
void SetTestDriver(int version, int load, int launch) {
  driver_version = version;
  load_answer = load;
  launch_answer = launch;
}

// Result of making a graph.
void SetTestGraphs(int answer) {
  graph_answer = answer;
}

// The compute capability of GPU 0, and the results for edges of early kernels and for making a
// graph with such edges.
void SetTestEarly(int major, int edge_answer, int answer) {
  first_major = major;
  early_edge_answer = edge_answer;
  early_graph_answer = answer;
}

// Number of kernels in the latest graph that begin early.
int TestGraphKernels(bool early) {
  int kernels = 0;
  for (const Node* node : *last_made) {
    kernels += (node->begins == Begins::kEarly) == early ? 1 : 0;
  }
  return kernels;
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
  const bool orin = handle == 0 && first_major == 8;
  *value = attribute == 75 ? (handle == 0 ? first_major : 99) : (orin ? 7 : 0);
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
int cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, void* /*stream*/) {
  std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
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
// Refuses nodes that do not follow the preceding one.
int cuGraphAddKernelNode(void** node, void* graph, void* const* after, size_t after_count,
                         const KernelNode* kernel) {
  auto& nodes = *static_cast<Graph*>(graph);
  if (after_count > 1 || (after_count == 1 && (nodes.empty() || *after != nodes.back()))) {
    return 1;  // CUDA_ERROR_INVALID_VALUE
  }
  const Begins begins = nodes.empty() || after_count == 1 ? Begins::kInTurn : Begins::kNever;
  const auto* of = static_cast<const wattle::cuda::HostKernel*>(kernel->function);
  const auto* arguments = static_cast<const char*>(kernel->arguments[0]);
  nodes.push_back(new Node{
      begins, of, kernel->grid[0], kernel->block[0], {arguments, arguments + of->argument_bytes}});
  *node = nodes.back();
  return 0;
}
#ifndef WATTLE_TEST_DRIVER_OF_12_2
// Only the last node, from the point at which the preceding one lets it begin.
int cuGraphAddDependencies_v2(void* graph, void* const* from, void* const* to,
                              const GraphEdge* edge, size_t count) {
  auto& nodes = *static_cast<Graph*>(graph);
  const GraphEdge early = {1, 0, 1, {}};
  if (count != 1 || nodes.size() < 2 || *from != nodes[nodes.size() - 2] || *to != nodes.back() ||
      nodes.back()->begins != Begins::kNever || std::memcmp(edge, &early, sizeof(early)) != 0) {
    return 1;  // CUDA_ERROR_INVALID_VALUE
  }
  nodes.back()->begins = Begins::kEarly;
  return early_edge_answer;
}
#endif
// NOLINTNEXTLINE(google-runtime-int): as cuda.h has it
int cuGraphInstantiateWithFlags(void** made, void* graph, unsigned long long /*flags*/) {
  last_made = static_cast<Graph*>(graph);
  if (TestGraphKernels(true) > 0 && early_graph_answer != 0) {
    return early_graph_answer;
  }
  for (const Node* node : *last_made) {
    if (node->begins == Begins::kNever) {
      return 1;  // without an edge it could run at any time
    }
  }
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
