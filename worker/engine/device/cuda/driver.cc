// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/driver.h"

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "worker/engine/device/cuda/library_functions.h"

namespace wattle::cuda {
namespace {

// Constants of the driver, from cuda.h.
constexpr int kSuccess = 0;
constexpr int kOutOfMemory = 2;
constexpr int kInvalidDevice = 101;
constexpr int kInvalidImage = 200;
constexpr int kNoBinaryForGpu = 209;
constexpr int kUnsupportedPtxVersion = 222;
constexpr int kCapabilityMajor = 75;
constexpr int kCapabilityMinor = 76;

// CUDA_KERNEL_NODE_PARAMS_v1 of cuda.h.
struct KernelNode {
  Function function;
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  void** arguments;
  void** extra;
};

// CUgraphEdgeData of cuda.h: the ports at which the edge begins and ends, and its type.
struct GraphEdge {
  unsigned char from_port;
  unsigned char to_port;
  unsigned char type;
  unsigned char reserved[5];
};
// The point at which all blocks of a kernel have either let the next kernel begin or ended: both
// CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC and CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC are 1.
constexpr GraphEdge kEarlyEdge = {.from_port = 1, .to_port = 0, .type = 1, .reserved = {}};
constexpr int kFirstMajorOfEarly = 9;

}  // namespace

struct Driver::Functions {
  int (*init)(unsigned flags) = nullptr;
  int (*version)(int* version) = nullptr;
  int (*device)(int* handle, int ordinal) = nullptr;
  int (*attribute)(int* value, int attribute, int handle) = nullptr;
  int (*retain_context)(void** context, int handle) = nullptr;
  int (*set_context)(void* context) = nullptr;
  int (*load)(Module* module, const void* image) = nullptr;
  int (*find)(Function* function, Module module, const char* name) = nullptr;
  // grid x y z, block x y z, dynamic shared memory, stream, arguments, extra.
  int (*launch)(Function function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                unsigned, Stream stream, void** arguments, void** extra) = nullptr;
  // Addresses on a GPU are numbers.
  int (*upload)(uintptr_t to, const void* from, size_t bytes, Stream stream) = nullptr;
  int (*copy)(uintptr_t to, uintptr_t from, size_t bytes, Stream stream) = nullptr;
  int (*download)(void* to, uintptr_t from, size_t bytes, Stream stream) = nullptr;
  int (*wait)(Stream stream) = nullptr;
  int (*error_name)(int error, const char** name) = nullptr;
  // Since CUDA 11.4; null before.
  int (*graph)(void** graph, unsigned flags) = nullptr;
  int (*add_kernel)(void** node, void* graph, void* const* after, size_t after_count,
                    const void* kernel) = nullptr;
  // Since CUDA 12.3; null before.
  int (*add_edges)(void* graph, void* const* from, void* const* to, const void* edges,
                   size_t count) = nullptr;
  int (*instantiate)(void** made, void* graph,
                     unsigned long long flags) = nullptr;  // NOLINT(google-runtime-int)
  int (*launch_graph)(void* made, Stream stream) = nullptr;
  int (*destroy_graph)(void* graph) = nullptr;
  int (*destroy_made)(void* made) = nullptr;
};

class Driver::Graph final : public DriverGraph {
 public:
  Graph(const Driver& driver, void* graph, Beginning beginning)
      : driver_(driver), graph_(graph), beginning_(beginning) {}
  ~Graph() override {
    if (made_ != nullptr) {
      driver_.functions_->destroy_made(made_);
    }
    driver_.functions_->destroy_graph(graph_);
  }

  absl::Status Add(Function function, const KernelLaunch& launch) override {
    void* arguments[] = {const_cast<void*>(launch.arguments)};  // copied before the call returns
    const KernelNode kernel = {.function = function,
                               .grid = {static_cast<unsigned>(launch.blocks), 1, 1},
                               .block = {static_cast<unsigned>(launch.threads), 1, 1},
                               .shared_bytes = 0,
                               .arguments = arguments,
                               .extra = nullptr};
    void* const before = last_;
    const bool early = beginning_ == Beginning::kEarly;
    WATTLE_RETURN_IF_ERROR(
        driver_.Checked(driver_.functions_->add_kernel(
                            &last_, graph_, &before, before != nullptr && !early ? 1 : 0, &kernel),
                        "adding a kernel to a graph"));
    if (before == nullptr || !early) {
      return absl::OkStatus();
    }
    return driver_.Checked(driver_.functions_->add_edges(graph_, &before, &last_, &kEarlyEdge, 1),
                           "letting a kernel of a graph begin early");
  }
  absl::Status Finish() override {
    return driver_.Checked(driver_.functions_->instantiate(&made_, graph_, 0), "making a graph");
  }
  absl::Status Launch(Stream stream) override {
    return driver_.Checked(driver_.functions_->launch_graph(made_, stream), "launching a graph");
  }

 private:
  const Driver& driver_;
  void* graph_;
  Beginning beginning_;
  void* last_ = nullptr;  // the node added last
  void* made_ = nullptr;
};

Driver::Driver() : functions_(std::make_unique<Functions>()) {}
Driver::~Driver() = default;

absl::StatusOr<std::unique_ptr<Driver>> Driver::Open(int device, const std::string& library) {
  std::unique_ptr<Driver> driver(new Driver);
  WATTLE_RETURN_IF_ERROR(driver->FindFunctions(library));
  WATTLE_RETURN_IF_ERROR(driver->Start(device));
  return driver;
}

absl::Status Driver::FindFunctions(const std::string& library) {
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);  // retained, as by libtorch
  if (handle == nullptr) {
    return absl::UnavailableError(
        absl::StrCat(library, ": not found; install NVIDIA's driver, or use device: cpu"));
  }
  LibraryFunctions functions(handle);
  functions.Find("cuInit", functions_->init);
  functions.Find("cuDriverGetVersion", functions_->version);
  functions.Find("cuDeviceGet", functions_->device);
  functions.Find("cuDeviceGetAttribute", functions_->attribute);
  functions.Find("cuDevicePrimaryCtxRetain", functions_->retain_context);
  functions.Find("cuCtxSetCurrent", functions_->set_context);
  functions.Find("cuModuleLoadData", functions_->load);
  functions.Find("cuModuleGetFunction", functions_->find);
  functions.Find("cuLaunchKernel", functions_->launch);
  functions.Find("cuMemcpyHtoDAsync_v2", functions_->upload);
  functions.Find("cuMemcpyDtoDAsync_v2", functions_->copy);
  functions.Find("cuMemcpyDtoHAsync_v2", functions_->download);
  functions.Find("cuStreamSynchronize", functions_->wait);
  functions.Find("cuGetErrorName", functions_->error_name);
  functions.FindIfThere("cuGraphCreate", functions_->graph);
  functions.FindIfThere("cuGraphAddKernelNode", functions_->add_kernel);
  functions.FindIfThere("cuGraphAddDependencies_v2", functions_->add_edges);
  functions.FindIfThere("cuGraphInstantiateWithFlags", functions_->instantiate);
  functions.FindIfThere("cuGraphLaunch", functions_->launch_graph);
  functions.FindIfThere("cuGraphDestroy", functions_->destroy_graph);
  functions.FindIfThere("cuGraphExecDestroy", functions_->destroy_made);
  return functions.missing() == nullptr
             ? absl::OkStatus()
             : absl::FailedPreconditionError(absl::StrCat(library, ": has no ", functions.missing(),
                                                          "; update NVIDIA's driver"));
}

absl::Status Driver::Checked(int result, const std::string& what) const {
  if (result == kSuccess) {
    return absl::OkStatus();
  }
  const char* name = nullptr;
  const bool named = functions_->error_name(result, &name) == kSuccess && name != nullptr;
  const std::string told =
      absl::StrCat("cuda: ", what, ": ", named ? name : absl::StrCat("error ", result));
  if (result == kOutOfMemory) {
    return absl::ResourceExhaustedError(
        absl::StrCat(told, " (out of memory); close other programs that use the GPU"));
  }
  return absl::InternalError(absl::StrCat(
      told, "; see dmesg for the GPU's own message (Xid), and start the worker again"));
}

absl::Status Driver::Start(int device) {
  if (const int result = functions_->init(0); result != kSuccess) {
    return absl::UnavailableError(
        absl::StrCat("cuda: the driver does not start (error ", result,
                     "); see with nvidia-smi whether it runs, or use device: cpu"));
  }
  WATTLE_RETURN_IF_ERROR(Checked(functions_->version(&version_), "asking for the version"));
  int handle = 0;
  if (const int result = functions_->device(&handle, device); result == kInvalidDevice) {
    return absl::UnavailableError(absl::StrCat("cuda: the driver has no GPU ", device));
  } else if (result != kSuccess) {
    return Checked(result, "asking for the GPU");
  }
  WATTLE_RETURN_IF_ERROR(
      Checked(functions_->attribute(&architecture_.major, kCapabilityMajor, handle),
              "asking for the compute capability"));
  WATTLE_RETURN_IF_ERROR(
      Checked(functions_->attribute(&architecture_.minor, kCapabilityMinor, handle),
              "asking for the compute capability"));
  void* context = nullptr;
  WATTLE_RETURN_IF_ERROR(
      Checked(functions_->retain_context(&context, handle), "opening the context"));
  return Checked(functions_->set_context(context), "entering the context");
}

absl::StatusOr<Module> Driver::Load(const std::string& binary) {
  Module module = nullptr;
  const int result = functions_->load(&module, binary.c_str());
  if (result == kUnsupportedPtxVersion || result == kInvalidImage || result == kNoBinaryForGpu) {
    return absl::FailedPreconditionError(
        absl::StrCat("cuda: the driver, of CUDA ", CudaVersionName(version_),
                     ", is older than the kernels that NVRTC made; update the driver"));
  }
  WATTLE_RETURN_IF_ERROR(Checked(result, "loading kernels"));
  return module;
}

absl::StatusOr<Function> Driver::Find(Module module, const std::string& kernel) {
  Function function = nullptr;
  WATTLE_RETURN_IF_ERROR(Checked(functions_->find(&function, module, kernel.c_str()),
                                 absl::StrCat("finding kernel ", kernel)));
  return function;
}

absl::Status Driver::Launch(Function function, const KernelLaunch& launch, Stream stream) {
  void* arguments[] = {const_cast<void*>(launch.arguments)};  // copied before the call returns
  return Checked(functions_->launch(function, static_cast<unsigned>(launch.blocks), 1, 1,
                                    static_cast<unsigned>(launch.threads), 1, 1, 0, stream,
                                    arguments, nullptr),
                 absl::StrCat("launching ", launch.kernel));
}

bool Driver::has_early_beginning() const {
  return architecture_.major >= kFirstMajorOfEarly && functions_->add_edges != nullptr;
}

absl::StatusOr<std::unique_ptr<DriverGraph>> Driver::NewGraph(Beginning beginning) {
  if (functions_->graph == nullptr || functions_->add_kernel == nullptr ||
      functions_->instantiate == nullptr || functions_->launch_graph == nullptr ||
      functions_->destroy_graph == nullptr || functions_->destroy_made == nullptr) {
    return absl::UnimplementedError(absl::StrCat(
        "cuda: the driver, of CUDA ", CudaVersionName(version_), ", has no graphs; update it"));
  }
  void* graph = nullptr;
  WATTLE_RETURN_IF_ERROR(Checked(functions_->graph(&graph, 0), "beginning a graph"));
  return std::make_unique<Graph>(*this, graph, beginning);
}

// The driver copies unpinned memory before it returns, so `from` can be reused at once.
absl::Status Driver::Upload(void* to, const void* from, int64_t bytes, Stream stream) {
  return Checked(
      functions_->upload(reinterpret_cast<uintptr_t>(to), from, static_cast<size_t>(bytes), stream),
      "copying to the GPU");
}

absl::Status Driver::Copy(void* to, const void* from, int64_t bytes, Stream stream) {
  return Checked(
      functions_->copy(reinterpret_cast<uintptr_t>(to), reinterpret_cast<uintptr_t>(from),
                       static_cast<size_t>(bytes), stream),
      "copying inside the GPU");
}

absl::Status Driver::Download(void* to, const void* from, int64_t bytes, Stream stream) {
  WATTLE_RETURN_IF_ERROR(Checked(functions_->download(to, reinterpret_cast<uintptr_t>(from),
                                                      static_cast<size_t>(bytes), stream),
                                 "copying from the GPU"));
  return Checked(functions_->wait(stream), "waiting for the GPU");
}

std::string CudaVersionName(int version) {
  return absl::StrCat(version / 1000, ".", version % 1000 / 10);
}

}  // namespace wattle::cuda
