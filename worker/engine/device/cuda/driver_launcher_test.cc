// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/driver_launcher.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "worker/engine/kernels/testing/test_matrix.h"

namespace wattle::cuda {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Constants of cuda.h that these tests' driver returns.
constexpr int kUnsupportedPtxVersion = 222;
constexpr int kLaunchFailed = 719;
constexpr int kOutOfMemory = 2;

class DriverLauncherTest : public testing::Test {
 protected:
  void SetUp() override { SetDriver(12040, 0, 0); }
  void TearDown() override {
    SetNvrtc(12);
    SetNvrtcBroken(false);
    SetGraphs(0);
    SetEarly(8, 0, 0);
  }

  static void SetDriver(int version, int load, int launch) {
    void* const library = dlopen(WATTLE_TEST_DRIVER, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    reinterpret_cast<void (*)(int, int, int)>(dlsym(library, "SetTestDriver"))(version, load,
                                                                               launch);
  }
  static void SetGraphs(int answer) {
    void* const library = dlopen(WATTLE_TEST_DRIVER, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    reinterpret_cast<void (*)(int)>(dlsym(library, "SetTestGraphs"))(answer);
  }
  // Sets GPU 0's compute capability, and the results for an edge of an early kernel and for a graph
  // with such edges.
  static void SetEarly(int major, int edge_answer, int answer,
                       const char* driver = WATTLE_TEST_DRIVER) {
    void* const library = dlopen(driver, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    reinterpret_cast<void (*)(int, int, int)>(dlsym(library, "SetTestEarly"))(major, edge_answer,
                                                                              answer);
  }
  // Kernels of the latest graph that begin early or in turn.
  static int GraphKernels(bool early, const char* driver = WATTLE_TEST_DRIVER) {
    void* const library = dlopen(driver, RTLD_NOW | RTLD_LOCAL);
    return reinterpret_cast<int (*)(bool)>(dlsym(library, "TestGraphKernels"))(early);
  }
  static void SetNvrtc(int major) {
    void* const library = dlopen(WATTLE_TEST_NVRTC, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    reinterpret_cast<void (*)(int)>(dlsym(library, "SetTestNvrtc"))(major);
  }
  static void SetNvrtcBroken(bool broken) {
    void* const library = dlopen(WATTLE_TEST_NVRTC, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    reinterpret_cast<void (*)(bool)>(dlsym(library, "SetTestNvrtcBroken"))(broken);
  }
  static absl::StatusOr<std::unique_ptr<KernelCompiler>> OpenCompiler() {
    const char* const libraries[] = {"libnothing-of-this-name.so", WATTLE_TEST_NVRTC};
    return KernelCompiler::Open(libraries);
  }

  DriverLauncher MakeLauncher(int device = 0, const char* driver = WATTLE_TEST_DRIVER) {
    return DriverLauncher(Driver::Open(device, driver).value(), OpenCompiler().value(),
                          KernelCache(directory_.path(), use_), [] { return nullptr; });
  }

  // out = 1 for a norm launched with a row of ones and no gain offset.
  absl::Status LaunchNorm(DriverLauncher& launcher) {
    const NormArguments arguments = {.x = ones_.data(),
                                     .gain = ones_.data(),
                                     .bias = nullptr,
                                     .out = out_.data(),
                                     .width = 8,
                                     .x_stride = 8,
                                     .out_stride = 8,
                                     .subtract_mean = 0,
                                     .gain_offset = 0.0F,
                                     .epsilon = 0.0F};
    return launcher.Launch({.source = "norm",
                            .kernel = "norm_rows",
                            .threads = kWideThreads,
                            .arguments = &arguments});
  }

  // A graph of three norms.
  absl::StatusOr<std::unique_ptr<LaunchGraph>> RecordNorms(DriverLauncher& launcher) {
    return launcher.Record([&]() -> absl::Status {
      for (int i = 0; i < 2; ++i) {
        if (absl::Status launched = LaunchNorm(launcher); !launched.ok()) {
          return launched;
        }
      }
      return LaunchNorm(launcher);
    });
  }
  // All of its kernels ran.
  void ExpectRuns(LaunchGraph& graph) {
    std::fill(out_.begin(), out_.end(), 0.0F);
    ASSERT_THAT(graph.Launch(), IsOk());
    EXPECT_EQ(out_, ones_);
  }

  std::vector<std::string> Kept() const {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      paths.push_back(entry.path());
    }
    return paths;
  }

  TestDirectory directory_;
  std::vector<float> ones_ = std::vector<float>(8, 1.0F);
  std::vector<float> out_ = std::vector<float>(8);
  KernelCache::Use use_ = KernelCache::Use::kFindAndKeep;
};

TEST_F(DriverLauncherTest, AKernelIsCompiledOnceAndKept) {
  DriverLauncher launcher = MakeLauncher();
  ASSERT_THAT(LaunchNorm(launcher), IsOk());
  EXPECT_EQ(out_, ones_) << "the kernel ran";
  ASSERT_THAT(LaunchNorm(launcher), IsOk());
  EXPECT_EQ(launcher.compiled(), 1);
  DriverLauncher next = MakeLauncher();
  ASSERT_THAT(LaunchNorm(next), IsOk());
  EXPECT_EQ(next.compiled(), 0) << "the next process reads the cache";
}

TEST_F(DriverLauncherTest, WhatAKernelWroteIsCopiedInsideTheGpu) {
  DriverLauncher launcher = MakeLauncher();
  ASSERT_THAT(LaunchNorm(launcher), IsOk());
  std::vector<float> copied(8);
  ASSERT_THAT(launcher.Copy(copied.data(), out_.data(), 7 * sizeof(float)), IsOk());
  EXPECT_EQ(copied, std::vector<float>({1, 1, 1, 1, 1, 1, 1, 0}));
  SetDriver(12040, 0, kLaunchFailed);
  EXPECT_THAT(launcher.Copy(copied.data(), out_.data(), 4),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("copying inside"), HasSubstr("CUDA_ERROR_LAUNCH_FAILED"))));
}

TEST_F(DriverLauncherTest, AGraphKeepsTheArgumentsOfItsLaunchesUntilItIsLaunched) {
  DriverLauncher launcher = MakeLauncher();
  const auto graph = launcher.Record([&]() -> absl::Status {
    const absl::Status first = LaunchNorm(launcher);
    return first.ok() ? LaunchNorm(launcher) : first;
  });
  ASSERT_THAT(graph, IsOk());
  EXPECT_EQ(out_, std::vector<float>(8)) << "nothing ran yet";
  for (int i = 0; i < 2; ++i) {
    std::fill(out_.begin(), out_.end(), 0.0F);
    ASSERT_THAT((*graph)->Launch(), IsOk());
    EXPECT_EQ(out_, ones_);
  }
  SetDriver(12040, 0, kLaunchFailed);
  EXPECT_THAT((*graph)->Launch(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("CUDA_ERROR_LAUNCH_FAILED")));
  EXPECT_THAT(launcher.Record([] { return absl::InternalError("no"); }).status(),
              StatusIs(absl::StatusCode::kInternal, "no"));
}

// Callers that need graphs then launch one by one (DecodeRun).
TEST_F(DriverLauncherTest, AGraphThatTheDriverDoesNotMakeIsToldOnce) {
  SetGraphs(kOutOfMemory);
  DriverLauncher launcher = MakeLauncher();
  testing::internal::CaptureStderr();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(launcher.Record([&] { return LaunchNorm(launcher); }).status(),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("making a graph: error 2")));
  }
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, HasSubstr("each kernel is launched alone"));
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << told;
  EXPECT_EQ(out_, std::vector<float>(8));
  ASSERT_THAT(LaunchNorm(launcher), IsOk());
  EXPECT_EQ(out_, ones_);
}

TEST_F(DriverLauncherTest, FromHopperOnKernelsOfAGraphBeginEarly) {
  SetEarly(9, 0, 0);
  DriverLauncher launcher = MakeLauncher();
  const auto graph = RecordNorms(launcher);
  ASSERT_THAT(graph, IsOk());
  EXPECT_EQ(GraphKernels(true), 2) << "the first one has none before it";
  ExpectRuns(**graph);
  launcher.set_beginning(Beginning::kInTurn);
  const auto in_turn = RecordNorms(launcher);
  ASSERT_THAT(in_turn, IsOk());
  EXPECT_EQ(GraphKernels(true), 0);
  ExpectRuns(**in_turn);
}

TEST_F(DriverLauncherTest, OnAnOlderGpuOrDriverKernelsOfAGraphBeginInTurn) {
  DriverLauncher orin = MakeLauncher();
  const auto graph = RecordNorms(orin);
  ASSERT_THAT(graph, IsOk());
  EXPECT_EQ(GraphKernels(true), 0);
  EXPECT_EQ(GraphKernels(false), 3);
  ExpectRuns(**graph);
  SetEarly(9, 0, 0, WATTLE_TEST_OLD_DRIVER);
  DriverLauncher hopper = MakeLauncher(0, WATTLE_TEST_OLD_DRIVER);
  const auto of_hopper = RecordNorms(hopper);
  ASSERT_THAT(of_hopper, IsOk());
  EXPECT_EQ(GraphKernels(false, WATTLE_TEST_OLD_DRIVER), 3);
  ExpectRuns(**of_hopper);
}

TEST_F(DriverLauncherTest, ADriverThatRefusesTheEarlyBeginningIsAskedForGraphsInTurn) {
  constexpr int kNotSupported = 801;
  for (const bool at_edge : {true, false}) {
    SetEarly(9, at_edge ? kNotSupported : 0, at_edge ? 0 : kNotSupported);
    DriverLauncher launcher = MakeLauncher();
    testing::internal::CaptureStderr();
    for (int i = 0; i < 2; ++i) {
      const auto graph = RecordNorms(launcher);
      ASSERT_THAT(graph, IsOk());
      EXPECT_EQ(GraphKernels(true), 0);
      EXPECT_EQ(GraphKernels(false), 3);
      ExpectRuns(**graph);
    }
    EXPECT_EQ(launcher.beginning(), Beginning::kInTurn);
    const std::string told = testing::internal::GetCapturedStderr();
    EXPECT_THAT(told, AllOf(HasSubstr("error 801"),
                            HasSubstr("each kernel begins after the one before it")));
    EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << told;
  }
}

// Callers that need graphs then launch one by one, as on an older GPU.
TEST_F(DriverLauncherTest, ADriverThatMakesNoGraphAtAllSaysSoOnceOnHopper) {
  SetEarly(9, 0, 0);
  SetGraphs(kOutOfMemory);
  DriverLauncher launcher = MakeLauncher();
  testing::internal::CaptureStderr();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(RecordNorms(launcher).status(),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("making a graph: error 2")));
  }
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << told;
  EXPECT_THAT(launcher.Record([] { return absl::InternalError("no"); }).status(),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("making a graph")));
  DriverLauncher other = MakeLauncher();
  EXPECT_THAT(other.Record([] { return absl::InternalError("no"); }).status(),
              StatusIs(absl::StatusCode::kInternal, "no"));
}

TEST_F(DriverLauncherTest, AllFilesAreCompiledAhead) {
  DriverLauncher launcher = MakeLauncher();
  ASSERT_THAT(launcher.PrepareAll(), IsOk());
  EXPECT_EQ(launcher.compiled(), static_cast<int>(KernelSources().size()));
  EXPECT_EQ(Kept().size(), KernelSources().size());
  DriverLauncher next = MakeLauncher();
  ASSERT_THAT(next.PrepareAll(), IsOk());
  EXPECT_EQ(next.compiled(), 0);
}

TEST_F(DriverLauncherTest, AJobFindsKernelsAndKeepsNone) {
  use_ = KernelCache::Use::kFind;
  DriverLauncher job = MakeLauncher();
  testing::internal::CaptureStderr();
  ASSERT_THAT(LaunchNorm(job), IsOk());
  ASSERT_THAT(job.PrepareAll(), IsOk());
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, HasSubstr("wattle-worker probe --device cuda"));
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << told;
  EXPECT_EQ(job.compiled(), static_cast<int>(KernelSources().size()));
  EXPECT_EQ(Kept().size(), 0U) << "what a job could write there, the next one would run";
  use_ = KernelCache::Use::kFindAndKeep;
  DriverLauncher probe = MakeLauncher();
  ASSERT_THAT(LaunchNorm(probe), IsOk());
  use_ = KernelCache::Use::kFind;
  DriverLauncher next = MakeLauncher();
  testing::internal::CaptureStderr();
  ASSERT_THAT(LaunchNorm(next), IsOk());
  EXPECT_EQ(next.compiled(), 0);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(DriverLauncherTest, ACorruptedEntryIsCompiledAgain) {
  DriverLauncher launcher = MakeLauncher();
  ASSERT_THAT(LaunchNorm(launcher), IsOk());
  ASSERT_EQ(Kept().size(), 1U);
  std::ofstream(Kept().front(), std::ios::app) << "x";
  DriverLauncher next = MakeLauncher();
  ASSERT_THAT(LaunchNorm(next), IsOk());
  EXPECT_EQ(next.compiled(), 1);
  DriverLauncher last = MakeLauncher();
  ASSERT_THAT(LaunchNorm(last), IsOk());
  EXPECT_EQ(last.compiled(), 0) << "the entry is whole again";
}

TEST_F(DriverLauncherTest, AnotherDriverOrCompilerCompilesAgain) {
  DriverLauncher launcher = MakeLauncher();
  ASSERT_THAT(LaunchNorm(launcher), IsOk());
  SetDriver(12060, 0, 0);
  DriverLauncher of_driver = MakeLauncher();
  ASSERT_THAT(LaunchNorm(of_driver), IsOk());
  EXPECT_EQ(of_driver.compiled(), 1);
  SetNvrtc(13);
  DriverLauncher of_compiler = MakeLauncher();
  ASSERT_THAT(LaunchNorm(of_compiler), IsOk());
  EXPECT_EQ(of_compiler.compiled(), 1);
}

TEST_F(DriverLauncherTest, ADriverThatIsNotThereOrLacksAFunctionIsNamedWithItsRemedy) {
  EXPECT_THAT(Driver::Open(0, "libnothing-of-this-name.so").status(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("libnothing-of-this-name.so"), HasSubstr("install"))));
  EXPECT_THAT(Driver::Open(0, "libc.so.6").status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("update NVIDIA's driver")));
  EXPECT_THAT(Driver::Open(2, WATTLE_TEST_DRIVER).status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no GPU 2")));
}

TEST_F(DriverLauncherTest, ADriverOlderThanTheKernelsIsNamedWithItsRemedy) {
  SetDriver(11040, kUnsupportedPtxVersion, 0);
  DriverLauncher launcher = MakeLauncher();
  EXPECT_THAT(LaunchNorm(launcher),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("CUDA 11.4"), HasSubstr("update the driver"))));
  EXPECT_TRUE(Kept().empty()) << "what cannot be loaded is not kept";
}

TEST_F(DriverLauncherTest, AGpuThatNvrtcDoesNotKnowIsNamedWithItsRemedy) {
  DriverLauncher launcher = MakeLauncher(1);
  EXPECT_THAT(LaunchNorm(launcher),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("compute capability 99.0"), HasSubstr("install"))));
}

// No result is wrong, so libtorch's operators may continue (KernelDevice).
TEST_F(DriverLauncherTest, AFileThatNvrtcDoesNotCompileIsNamedInOneLine) {
  SetNvrtcBroken(true);
  DriverLauncher launcher = MakeLauncher();
  EXPECT_THAT(LaunchNorm(launcher),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("NVRTC 12.4"), HasSubstr("norm.cu(4): error: e"),
                             HasSubstr("install"), Not(HasSubstr("\n")))));
}

TEST_F(DriverLauncherTest, AGpuWithoutMemoryIsNoLostGpu) {
  DriverLauncher launcher = MakeLauncher();
  SetDriver(12040, kOutOfMemory, 0);
  EXPECT_THAT(LaunchNorm(launcher),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("loading kernels: error 2"), HasSubstr("out of memory"),
                             HasSubstr("close other programs"), Not(HasSubstr("Xid")))));
  SetDriver(12040, 0, kOutOfMemory);
  EXPECT_THAT(LaunchNorm(launcher), StatusIs(absl::StatusCode::kResourceExhausted,
                                             HasSubstr("launching norm_rows: error 2")));
}

TEST_F(DriverLauncherTest, AFailedLaunchIsTheGpusFault) {
  DriverLauncher launcher = MakeLauncher();
  SetDriver(12040, 0, kLaunchFailed);
  EXPECT_THAT(LaunchNorm(launcher),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("launching norm_rows"),
                             HasSubstr("CUDA_ERROR_LAUNCH_FAILED"), HasSubstr("Xid"))));
}

TEST_F(DriverLauncherTest, NvrtcThatIsNotThereOrTooOldIsNamedWithItsRemedy) {
  const char* const nothing[] = {"libnothing-of-this-name.so"};
  EXPECT_THAT(KernelCompiler::Open(nothing).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("install")));
  const char* const not_nvrtc[] = {"libc.so.6"};
  EXPECT_THAT(KernelCompiler::Open(not_nvrtc).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("install")));
  SetNvrtc(10);
  EXPECT_THAT(OpenCompiler().status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("NVRTC 10.4"), HasSubstr("11.0 or newer"))));
}

// The library in build/venv-nvrtc, which ./dev test --all installs.
std::string RealNvrtc() {
  const std::string packages = WATTLE_SOURCE_DIR "/build/venv-nvrtc/lib";
  if (std::filesystem::exists(packages)) {
    for (const auto& python : std::filesystem::directory_iterator(packages)) {
      const auto path = python.path() / "site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12";
      if (std::filesystem::exists(path)) {
        return path;
      }
    }
  }
  return "";
}

TEST_F(DriverLauncherTest, NvidiasOwnCompilerMakesMachineCodeOfTheKernels) {
  const std::string library = RealNvrtc();
  if (library.empty()) {
    GTEST_SKIP() << "NVRTC is not in build/venv-nvrtc; ./dev test --all installs it";
  }
  // AddressSanitizer's dlopen does not search the folder of the calling library.
  for (const auto& beside :
       std::filesystem::directory_iterator(std::filesystem::path(library).parent_path())) {
    if (beside.path().filename().string().rfind("libnvrtc-builtins.so", 0) == 0) {
      ASSERT_NE(dlopen(beside.path().c_str(), RTLD_NOW | RTLD_LOCAL), nullptr) << dlerror();
    }
  }
  const char* const libraries[] = {library.c_str()};
  const auto compiler = KernelCompiler::Open(libraries);
  ASSERT_THAT(compiler.status(), IsOk());
  KernelFile norm = {};
  for (const KernelFile& file : KernelSources()) {
    norm = std::string(file.name) == "norm.cu" ? file : norm;
  }
  for (const Architecture board : {Architecture{5, 3}, {8, 7}}) {
    const auto code = (*compiler)->Compile(norm, KernelHeaders(), board);
    ASSERT_THAT(code.status(), IsOk());
    EXPECT_THAT(*code, StartsWith("\177ELF"));
    EXPECT_THAT(*code, HasSubstr("norm_rows"));
  }
  EXPECT_THAT((*compiler)->Compile(norm, KernelHeaders(), {99, 0}).status(),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("99.0")));
  EXPECT_THAT((*compiler)->Compile({"broken.cu", "int f( {"}, {}, {8, 7}).status(),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("broken.cu")));
}

}  // namespace
}  // namespace wattle::cuda
