// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/device_name.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "worker/engine/device/libtorch_cuda.h"
#include "worker/engine/device/testing/test_guarded_device.h"
#include "worker/engine/model_job.h"

namespace wattle::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(DeviceNameTest, TheHostHasTwoNames) {
  for (const char* name : {"", "cpu"}) {
    const auto device = DeviceNamed(name);
    ASSERT_THAT(device, IsOk());
    EXPECT_TRUE(device->is_cpu());
  }
}

TEST(DeviceNameTest, WhatIsNoNameIsRefusedInOneLine) {
  for (const char* name : {"gpu", "cuda:", "cuda:x", "cuda:-1", "mps:99999999999"}) {
    const absl::Status status = CheckDevice(name);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 AllOf(HasSubstr(name), HasSubstr("use \"cpu\""))));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
  }
}

TEST(DeviceNameTest, ADeviceBehindTheLastOneIsRefused) {
  ASSERT_EQ(GuardedDevice().index(), 0);
  EXPECT_THAT(DeviceNamed("privateuseone:0"), IsOk());
  EXPECT_THAT(DeviceNamed("privateuseone:7"),
              StatusIs(absl::StatusCode::kUnavailable,
                       "device \"privateuseone:7\": only 1 is visible; use an index below 1"));
}

TEST(DeviceNameTest, EachReasonHasItsRemedy) {
  const at::Device gpu(at::kCUDA);
  EXPECT_THAT(CheckVisible("cuda", gpu, {.libtorch_serves = false}, nullptr),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("libtorch that has CUDA")));
  EXPECT_THAT(CheckVisible("cuda", gpu, {.libtorch_serves = true, .count = 0}, nullptr),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("nvidia-smi"), HasSubstr("tegrastats"),
                             HasSubstr("older than libtorch's CUDA"))));
  EXPECT_THAT(CheckVisible("cuda", gpu, {.libtorch_serves = true, .count = 0}, ""),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("CUDA_VISIBLE_DEVICES=\"\"; unset the variable")));
  const VisibleDevices two = {.libtorch_serves = true, .count = 2};
  EXPECT_THAT(CheckVisible("cuda", gpu, two, nullptr), IsOk());
  EXPECT_THAT(CheckVisible("cuda:1", at::Device(at::kCUDA, 1), two, nullptr), IsOk());
  EXPECT_THAT(CheckVisible("cuda:2", at::Device(at::kCUDA, 2), two, nullptr),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("only 2 are visible")));
}

TEST(LibtorchCudaTest, WhatServesGpusLiesBesideLibtorchOrIsNotThere) {
  EXPECT_THAT(FolderOfLibtorch(), testing::StartsWith("/"));
  const TestDirectory folder;
  EXPECT_THAT(LoadCudaOfLibtorch(folder.path()), IsOk()) << "this libtorch serves no GPU";
  folder.Write("libtorch_cuda.so", "not a library");
  const absl::Status broken = LoadCudaOfLibtorch(folder.path());
  EXPECT_THAT(broken, StatusIs(absl::StatusCode::kUnavailable,
                               AllOf(HasSubstr("libtorch_cuda.so"), HasSubstr("use \"cpu\""))));
  EXPECT_THAT(std::string(broken.message()), Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace wattle::engine
