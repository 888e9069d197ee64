// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Launches through the driver. A file of kernels is compiled, or read from the cache, when its
// first kernel is needed. One thread.
#ifndef WATTLE_WORKER_ENGINE_DEVICE_CUDA_DRIVER_LAUNCHER_H_
#define WATTLE_WORKER_ENGINE_DEVICE_CUDA_DRIVER_LAUNCHER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "worker/engine/device/cuda/driver.h"
#include "worker/engine/device/cuda/kernel_cache.h"
#include "worker/engine/device/cuda/kernel_compiler.h"
#include "worker/engine/device/cuda/kernel_launch.h"

namespace wattle::cuda {

class DriverLauncher final : public KernelLauncher {
 public:
  // stream: returns the stream for the next launch.
  DriverLauncher(std::unique_ptr<Driver> driver, std::unique_ptr<KernelCompiler> compiler,
                 KernelCache cache, std::function<Stream()> stream)
      : driver_(std::move(driver)),
        compiler_(std::move(compiler)),
        cache_(std::move(cache)),
        stream_(std::move(stream)),
        beginning_(driver_->has_early_beginning() ? Beginning::kEarly : Beginning::kInTurn) {}

  absl::Status Launch(const KernelLaunch& launch) override;
  absl::StatusOr<std::unique_ptr<LaunchGraph>> Record(
      absl::FunctionRef<absl::Status()> body) override;

  // Compiles the file, unless the cache has it, and loads it. Logs once if the next process will
  // have to compile it again.
  absl::Status Prepare(const std::string& source) override;
  absl::Status Upload(void* to, const void* from, int64_t bytes) override;
  absl::Status Copy(void* to, const void* from, int64_t bytes) override;
  absl::Status Download(void* to, const void* from, int64_t bytes) override;

  absl::Status PrepareAll();
  // How kernels begin in graphs that are recorded from now on; initially early, if the driver
  // supports it. If a driver fails to make such a graph, the launcher switches to kernels in turn
  // for good.
  void set_beginning(Beginning beginning) { beginning_ = beginning; }
  [[nodiscard]] Beginning beginning() const { return beginning_; }
  // Number of files that the cache did not have.
  [[nodiscard]] int compiled() const { return compiled_; }

 private:
  class Recorded;

  absl::StatusOr<Module> LoadSource(const std::string& source);
  // The launches of `body` as a graph. refused: set if the driver failed to make the graph.
  absl::StatusOr<std::unique_ptr<DriverGraph>> MakeGraph(absl::FunctionRef<absl::Status()> body,
                                                         bool& refused);
  // Logs once that there will be no more graphs.
  absl::Status WithoutGraphs(const absl::Status& reason);

  std::unique_ptr<Driver> driver_;
  std::unique_ptr<KernelCompiler> compiler_;
  KernelCache cache_;
  std::function<Stream()> stream_;
  std::map<std::string, Module> modules_;      // by source
  std::map<std::string, Function> functions_;  // by kernel
  Beginning beginning_;
  int compiled_ = 0;
  DriverGraph* recording_ = nullptr;  // not null while Record runs its body
  absl::Status graphs_;               // reason why there are no graphs
};

}  // namespace wattle::cuda

#endif  // WATTLE_WORKER_ENGINE_DEVICE_CUDA_DRIVER_LAUNCHER_H_
