// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/driver_launcher.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "base/check.h"
#include "base/status_macros.h"

namespace wattle::cuda {
namespace {

const KernelFile& FileOf(const std::string& source) {
  const absl::Span<const KernelFile> files = KernelSources();
  const auto* const found = std::find_if(files.begin(), files.end(), [&](const KernelFile& file) {
    return absl::StripSuffix(file.name, ".cu") == source;
  });
  WATTLE_CHECK(found != files.end(), "launches name files of kernels/");
  return *found;
}

}  // namespace

absl::StatusOr<Module> DriverLauncher::LoadSource(const std::string& source) {
  const KernelFile& file = FileOf(source);
  const Architecture architecture = driver_->architecture();
  std::vector<std::string> name = {
      compiler_->Identity(), absl::StrCat("driver ", driver_->version()),
      absl::StrCat("sm_", architecture.major, architecture.minor), file.text};
  for (const KernelFile& header : KernelHeaders()) {
    name.emplace_back(header.text);
  }
  if (const std::optional<std::string> kept = cache_.Find(name); kept.has_value()) {
    if (absl::StatusOr<Module> module = driver_->Load(*kept); module.ok()) {
      return module;
    }
  }
  if (compiled_ == 0 && cache_.keeps_nothing()) {
    std::fprintf(stderr,
                 "wattle-runner: kernels for this GPU, driver and version are not kept here, so "
                 "each job compiles them; wattle-worker probe --device cuda keeps them\n");
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string binary,
                          compiler_->Compile(file, KernelHeaders(), architecture));
  ++compiled_;
  WATTLE_ASSIGN_OR_RETURN(Module module, driver_->Load(binary));
  WATTLE_RETURN_IF_ERROR(cache_.Keep(name, binary));
  return module;
}

absl::Status DriverLauncher::Prepare(const std::string& source) {
  if (modules_.find(source) == modules_.end()) {
    WATTLE_ASSIGN_OR_RETURN(modules_[source], LoadSource(source));
  }
  return absl::OkStatus();
}

absl::Status DriverLauncher::PrepareAll() {
  for (const KernelFile& file : KernelSources()) {
    WATTLE_RETURN_IF_ERROR(Prepare(std::string(absl::StripSuffix(file.name, ".cu"))));
  }
  return absl::OkStatus();
}

absl::Status DriverLauncher::Launch(const KernelLaunch& launch) {
  auto function = functions_.find(launch.kernel);
  if (function == functions_.end()) {
    WATTLE_RETURN_IF_ERROR(Prepare(launch.source));
    WATTLE_ASSIGN_OR_RETURN(Function found, driver_->Find(modules_[launch.source], launch.kernel));
    function = functions_.emplace(launch.kernel, found).first;
  }
  return recording_ != nullptr ? recording_->Add(function->second, launch)
                               : driver_->Launch(function->second, launch, stream_());
}

class DriverLauncher::Recorded final : public LaunchGraph {
 public:
  Recorded(std::unique_ptr<DriverGraph> graph, const DriverLauncher& launcher)
      : graph_(std::move(graph)), launcher_(launcher) {}
  absl::Status Launch() override { return graph_->Launch(launcher_.stream_()); }

 private:
  std::unique_ptr<DriverGraph> graph_;
  const DriverLauncher& launcher_;
};

absl::StatusOr<std::unique_ptr<DriverGraph>> DriverLauncher::MakeGraph(
    absl::FunctionRef<absl::Status()> body, bool& refused) {
  refused = true;
  WATTLE_ASSIGN_OR_RETURN(std::unique_ptr<DriverGraph> graph, driver_->NewGraph(beginning_));
  recording_ = graph.get();
  const absl::Status recorded = body();
  recording_ = nullptr;
  refused = recorded.ok();
  WATTLE_RETURN_IF_ERROR(recorded);
  WATTLE_RETURN_IF_ERROR(graph->Finish());
  return graph;
}

absl::StatusOr<std::unique_ptr<LaunchGraph>> DriverLauncher::Record(
    absl::FunctionRef<absl::Status()> body) {
  WATTLE_RETURN_IF_ERROR(graphs_);
  bool refused = false;
  absl::StatusOr<std::unique_ptr<DriverGraph>> graph = MakeGraph(body, refused);
  if (!graph.ok() && beginning_ == Beginning::kEarly) {
    const absl::Status early = graph.status();
    beginning_ = Beginning::kInTurn;
    graph = MakeGraph(body, refused);
    if (graph.ok()) {
      std::fprintf(stderr, "wattle-runner: %s; each kernel begins after the one before it\n",
                   std::string(early.message()).c_str());
    }
  }
  if (!graph.ok()) {
    return refused ? WithoutGraphs(graph.status()) : graph.status();
  }
  return std::make_unique<Recorded>(*std::move(graph), *this);
}

// A lost GPU also fails the next launch, which ends the job.
absl::Status DriverLauncher::WithoutGraphs(const absl::Status& reason) {
  graphs_ = absl::UnimplementedError(reason.message());
  std::fprintf(stderr,
               "wattle-runner: %s; until then each kernel is launched alone, which is slower\n",
               std::string(reason.message()).c_str());
  return graphs_;
}

absl::Status DriverLauncher::Upload(void* to, const void* from, int64_t bytes) {
  return driver_->Upload(to, from, bytes, stream_());
}

absl::Status DriverLauncher::Copy(void* to, const void* from, int64_t bytes) {
  return driver_->Copy(to, from, bytes, stream_());
}

absl::Status DriverLauncher::Download(void* to, const void* from, int64_t bytes) {
  return driver_->Download(to, from, bytes, stream_());
}

}  // namespace wattle::cuda
