// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The device of an NVIDIA GPU, with kernels that run on the host. Its tensors are the host's;
// where factors have two bytes they are the guarded device's.
#include "worker/engine/device/kernel_device.h"

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>

#include "base/testing/status_matchers.h"
#include "worker/engine/device/aten/stored_rows.h"
#include "worker/engine/device/cuda/testing/host_launcher.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/testing/test_guarded_device.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/models/weights.h"
#include "worker/engine/torch_border.h"

namespace wattle::engine {
namespace {

constexpr int64_t kRows = 40;
constexpr int64_t kColumns = 256;

at::Tensor Drawn(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor tensor = at::empty(shape);
  kernels::RandomNormal({.seed = seed}, 1.0F, tensor.numel(), tensor.data_ptr<float>());
  return tensor;
}

MatrixWeights PackedMatrix(kernels::WeightFormat format, at::Device device = at::kCPU) {
  const auto packed = PackFloats("test", format, Drawn({kRows, kColumns}, 9));
  EXPECT_THAT(packed.status(), IsOk());
  return AtenOperations().Stored(*packed, device);
}

// Results of a launcher, and how often one was made and called.
struct Answers {
  absl::Status made;
  absl::Status launched;
  int makings = 0;
  int launches = 0;
};

class AnsweringLauncher final : public cuda::KernelLauncher {
 public:
  explicit AnsweringLauncher(Answers& answers) : answers_(answers) {}
  absl::Status Launch(const cuda::KernelLaunch& launch) override {
    ++answers_.launches;
    const OpenedGuardedMemory opened;
    return answers_.launched.ok() ? host_.Launch(launch) : answers_.launched;
  }
  absl::StatusOr<std::unique_ptr<cuda::LaunchGraph>> Record(
      absl::FunctionRef<absl::Status()> /*body*/) override {
    return absl::UnimplementedError("no graphs");
  }
  absl::Status Prepare(const std::string& source) override { return host_.Prepare(source); }
  absl::Status Upload(void* to, const void* from, int64_t bytes) override {
    return host_.Upload(to, from, bytes);
  }
  absl::Status Copy(void* to, const void* from, int64_t bytes) override {
    return host_.Copy(to, from, bytes);
  }
  absl::Status Download(void* to, const void* from, int64_t bytes) override {
    return host_.Download(to, from, bytes);
  }

 private:
  Answers& answers_;
  cuda::HostLauncher host_{3};
};

KernelDevice DeviceOf(Answers& answers, std::optional<ComputeCapability> capability = {}) {
  return KernelDevice(
      [&answers](at::Device /*device*/) -> absl::StatusOr<std::unique_ptr<cuda::KernelLauncher>> {
        ++answers.makings;
        if (!answers.made.ok()) {
          return answers.made;
        }
        return std::make_unique<AnsweringLauncher>(answers);
      },
      nullptr, [capability](at::Device /*device*/) { return capability; });
}

TEST(KernelDeviceTest, ProductsOfFewRowsAreTheKernelsOwn) {
  Answers answers;
  const KernelDevice device = DeviceOf(answers);
  const at::Tensor bias = Drawn({kRows}, 2);
  for (const kernels::WeightFormat format : {kernels::WeightFormat{kernels::WeightScheme::kInt8, 0},
                                             {kernels::WeightScheme::kInt4, 32},
                                             {kernels::WeightScheme::kInt4Asymmetric, 64},
                                             {kernels::WeightScheme::kNf4, 128},
                                             {kernels::WeightScheme::kInt6, 16},
                                             {kernels::WeightScheme::kNf4DoubleQuantized, 64}}) {
    const MatrixWeights matrix = PackedMatrix(format);
    for (const int64_t rows : {1, 3, 8}) {
      const int before = answers.launches;
      const at::Tensor x = Drawn({rows, kColumns}, 4);
      const at::Tensor out = device.StoredProduct(matrix, x, bias);
      const at::Tensor wanted = AtenOperations().StoredProduct(matrix, x, bias);
      EXPECT_LT((out - wanted).abs().max().item<float>(), 1e-4)
          << kernels::FormatName(format) << ", " << rows << " rows";
      EXPECT_EQ(answers.launches, before + 1);
    }
  }
  EXPECT_EQ(answers.makings, 1);
}

TEST(KernelDeviceTest, APromptGoesByLibtorch) {
  Answers answers;
  const KernelDevice device = DeviceOf(answers);
  const MatrixWeights matrix = PackedMatrix({kernels::WeightScheme::kInt8, 0});
  const at::Tensor x = Drawn({9, kColumns}, 4);
  EXPECT_TRUE(at::equal(device.StoredProduct(matrix, x, {}),
                        AtenOperations().StoredProduct(matrix, x, {})));
  EXPECT_EQ(answers.launches, 0);
}

// An evaluation's batches, too.
TEST(KernelDeviceTest, FromAmpereOnPromptsMultiplyTilesOfBf16) {
  const at::Tensor bias = Drawn({kRows}, 2).to(GuardedDevice());
  const at::Tensor x = Drawn({9, kColumns}, 4).to(GuardedDevice());
  for (const kernels::WeightFormat format : {kernels::WeightFormat{kernels::WeightScheme::kInt8, 0},
                                             {kernels::WeightScheme::kInt4, 32},
                                             {kernels::WeightScheme::kFloat16, 0},
                                             {kernels::WeightScheme::kInt6, 16},
                                             {kernels::WeightScheme::kNf4DoubleQuantized, 64}}) {
    SCOPED_TRACE(kernels::FormatName(format));
    const MatrixWeights matrix = PackedMatrix(format, GuardedDevice());
    const at::Tensor in_floats = AtenOperations().StoredProduct(matrix, x, bias);
    Answers answers;
    const at::Tensor out =
        DeviceOf(answers, ComputeCapability{8, 7}).StoredProduct(matrix, x, bias);
    EXPECT_EQ(answers.launches, 1) << "the tile is the kernels'";
    EXPECT_TRUE(at::equal(
        out, AtenOperations()
                 .Product(kernels::FactorType::kBf16, x, StoredRows(matrix, 0, kRows).t(), {})
                 .add_(bias)));
    const double error = ((out - in_floats).norm() / in_floats.norm()).item<double>();
    EXPECT_LT(error, 1e-2);
    EXPECT_GT(error, 1e-4);
    EXPECT_TRUE(at::equal(DeviceOf(answers, ComputeCapability{7, 2}).StoredProduct(matrix, x, bias),
                          in_floats))
        << "a Xavier has no BF16";
    EXPECT_EQ(answers.launches, 1);
  }
}

// Without kernels libtorch's operators dequantize, and tensor cores multiply.
TEST(KernelDeviceTest, WithoutNvrtcPromptsMultiplyTilesOfBf16Too) {
  const MatrixWeights matrix = PackedMatrix({kernels::WeightScheme::kInt4, 64}, GuardedDevice());
  const at::Tensor x = Drawn({9, kColumns}, 4).to(GuardedDevice());
  Answers answers;
  Answers none = {.made = absl::NotFoundError("NVRTC is not found"), .launched = {}};
  testing::internal::CaptureStderr();
  EXPECT_TRUE(at::equal(DeviceOf(none, ComputeCapability{8, 0}).StoredProduct(matrix, x, {}),
                        DeviceOf(answers, ComputeCapability{8, 0}).StoredProduct(matrix, x, {})));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("NVRTC is not found"));
}

TEST(KernelDeviceTest, WithoutNvrtcLibtorchComputesAndTheReasonIsToldOnce) {
  Answers answers = {.made = absl::NotFoundError("NVRTC is not found"), .launched = {}};
  const KernelDevice device = DeviceOf(answers);
  const MatrixWeights matrix = PackedMatrix({kernels::WeightScheme::kInt4, 64});
  const at::Tensor x = Drawn({1, kColumns}, 4);
  testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(at::equal(device.StoredProduct(matrix, x, {}),
                          AtenOperations().StoredProduct(matrix, x, {})));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "wattle-runner: NVRTC is not found; until then libtorch's operators, which are "
            "slower\n");
  EXPECT_EQ(answers.makings, 1);
}

TEST(KernelDeviceTest, AGpuThatNvrtcDoesNotKnowIsComputedByLibtorch) {
  Answers answers = {.made = {}, .launched = absl::UnimplementedError("no such GPU")};
  const KernelDevice device = DeviceOf(answers);
  const MatrixWeights matrix = PackedMatrix({kernels::WeightScheme::kInt8, 0});
  const at::Tensor x = Drawn({1, kColumns}, 4);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(at::equal(device.StoredProduct(matrix, x, {}),
                          AtenOperations().StoredProduct(matrix, x, {})));
  }
  EXPECT_EQ(answers.launches, 1);
}

TEST(KernelDeviceTest, AGpuThatFailsEndsTheAttempt) {
  Answers answers = {.made = {}, .launched = absl::InternalError("CUDA_ERROR_LAUNCH_FAILED")};
  const KernelDevice device = DeviceOf(answers);
  const MatrixWeights matrix = PackedMatrix({kernels::WeightScheme::kInt8, 0});
  EXPECT_THROW(static_cast<void>(device.StoredProduct(matrix, Drawn({1, kColumns}, 4), {})),
               std::exception);
}

TEST(KernelDeviceTest, AGpuWithoutMemoryEndsTheAttemptWithTheLeanerForm) {
  Answers answers = {
      .made = {},
      .launched = absl::ResourceExhaustedError("cuda: loading kernels: error 2 (out of memory)")};
  const KernelDevice device = DeviceOf(answers);
  const MatrixWeights matrix = PackedMatrix({kernels::WeightScheme::kInt8, 0});
  const absl::Status status = AtTorchBorder("generate", [&] {
    static_cast<void>(device.StoredProduct(matrix, Drawn({1, kColumns}, 4), {}));
    return absl::OkStatus();
  });
  EXPECT_THAT(status,
              StatusIs(absl::StatusCode::kResourceExhausted, testing::HasSubstr(kLeanerJob)));
}

// A Jetson's OS kernel kills some program if the GPU requests more memory than there is.
TEST(KernelDeviceTest, ABoardsGpuAsksForNoMoreThanIsFree) {
  std::optional<int64_t> free = 1000;
  const KernelDevice device(
      [](at::Device /*device*/) -> absl::StatusOr<std::unique_ptr<cuda::KernelLauncher>> {
        return absl::NotFoundError("no launcher");
      },
      [&free](at::Device /*device*/) { return free; });
  const auto room = [&](int64_t bytes) {
    return AtTorchBorder("train", [&] {
      device.MakeRoom(bytes, at::kCPU);
      return absl::OkStatus();
    });
  };
  const auto arena = [&](int64_t elements) {
    return AtTorchBorder("train", [&] {
      static_cast<void>(device.ZeroArena(elements, at::dtype(at::kFloat)));
      return absl::OkStatus();
    });
  };
  EXPECT_THAT(room(1001), StatusIs(absl::StatusCode::kResourceExhausted,
                                   testing::AllOf(testing::HasSubstr(kLeanerJob),
                                                  testing::HasSubstr("1000 B are free"))));
  EXPECT_THAT(arena(251), StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
  EXPECT_THAT(arena(250), IsOk());
  EXPECT_ANY_THROW(static_cast<void>(device.SessionMemory(251, at::dtype(at::kFloat))));
  EXPECT_EQ(device.SessionMemory(250, at::dtype(at::kFloat)).numel(), 250);
  EXPECT_THAT(room(800), IsOk());
  free = 100;
  EXPECT_THAT(room(900), IsOk()) << "libtorch's allocator keeps the first 800";
  EXPECT_THAT(room(1001), StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
  free.reset();
  EXPECT_THAT(room(1 << 20), IsOk()) << "a card has memory of its own, and refuses by itself";
}

TEST(KernelDeviceTest, MasksOfDropoutAreThoseOfTheCpuByOneLaunch) {
  const kernels::RandomStream stream = {
      .seed = 7, .step = 3, .use = kernels::RandomUse::kMlpOutputDropout, .layer = 2};
  const at::Tensor x = at::full({7, 301}, 1.5);
  at::Tensor wanted = x.clone();
  kernels::ApplyDropout(stream, 0.3, 0, wanted.numel(), wanted.data_ptr<float>());
  Answers answers;
  const KernelDevice device = DeviceOf(answers);
  EXPECT_TRUE(at::equal(device.DroppedOut(stream, 0.3, x), wanted));
  EXPECT_EQ(answers.launches, 1);
  Answers none;
  none.made = absl::NotFoundError("NVRTC is not found");
  testing::internal::CaptureStderr();
  EXPECT_TRUE(at::equal(DeviceOf(none).DroppedOut(stream, 0.3, x), wanted));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("NVRTC is not found"));
}

}  // namespace
}  // namespace wattle::engine
