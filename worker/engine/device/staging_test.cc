// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Memory besides a matrix on its way from its file to a device: on a board whose GPU shares the
// host's memory, both count.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include "base/testing/status_matchers.h"
#include "formats/tensor_source.h"
#include "worker/engine/device/testing/test_guarded_device.h"
#include "worker/engine/models/packed_arena.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/torch_version.h"

namespace wattle::engine {
namespace {

constexpr int64_t kStagingBytesMax = int64_t{64} << 20;
constexpr int64_t kStagedRows = 5000;
constexpr int64_t kStagedColumns = 4096;
static_assert(kStagedRows * kStagedColumns * 4 > kStagingBytesMax + (int64_t{8} << 20));

// A file with one BF16 matrix, whose numbers repeat with a period other than its rows.
class OneMatrix final : public formats::TensorSource {
 public:
  OneMatrix() {
    for (int i = 0; i < 7919; ++i) {
      numbers_.push_back(at::BFloat16(0.01F * static_cast<float>((i * 37) % 211 - 100)));
    }
  }

  [[nodiscard]] const std::string& path() const override { return path_; }
  [[nodiscard]] std::vector<std::string> FileNames() const override { return {path_}; }
  [[nodiscard]] const std::vector<formats::TensorEntry>& tensors() const override {
    return tensors_;
  }
  [[nodiscard]] const formats::SafetensorsMetadata& metadata() const override { return metadata_; }
  [[nodiscard]] absl::Status Read(const formats::TensorEntry& tensor,
                                  absl::Span<std::byte> out) const override {
    return ReadPart(tensor, 0, out);
  }
  [[nodiscard]] absl::Status ReadPart(const formats::TensorEntry& /*tensor*/, int64_t offset_bytes,
                                      absl::Span<std::byte> out) const override {
    const size_t first = static_cast<size_t>(offset_bytes) / 2;
    auto* const numbers = reinterpret_cast<at::BFloat16*>(out.data());
    for (size_t i = 0; i < out.size() / 2; ++i) {
      numbers[i] = numbers_[(first + i) % numbers_.size()];
    }
    return absl::OkStatus();
  }

 private:
  std::string path_ = "one.safetensors";
  std::vector<formats::TensorEntry> tensors_ = [] {
    formats::TensorEntry entry;
    entry.name = "matrix";
    entry.type = formats::DataType::kBF16;
    entry.shape = {kStagedRows, kStagedColumns};
    return std::vector<formats::TensorEntry>{entry};
  }();
  formats::SafetensorsMetadata metadata_;
  std::vector<at::BFloat16> numbers_;
};

// Peak bytes of live tensors on the host, above those at the object's creation.
class HostBytes : public c10::MemoryReportingInfoBase {
 public:
  // libtorch 2 counts the totals in another type.
  using TotalBytes = std::conditional_t<TORCH_VERSION_MAJOR >= 2, size_t, int64_t>;
  void reportMemoryUsage(void* /*place*/, int64_t size_bytes, TotalBytes /*allocated*/,
                         TotalBytes /*reserved*/, c10::Device device) override {
    live_ += device.is_cpu() ? size_bytes : 0;
    peak_ = std::max(peak_, live_);
  }
  [[nodiscard]] bool memoryProfilingEnabled() const override { return true; }
  [[nodiscard]] int64_t peak() const { return peak_; }

 private:
  int64_t live_ = 0;
  int64_t peak_ = 0;
};

TEST(StagingTest, AMatrixWithQuantizedScalesGoesToItsDeviceInPieces) {
  const OneMatrix file;
  const std::vector<models::FileTensor> parts = {{"matrix", {kStagedRows, kStagedColumns}}};
  const kernels::WeightMatrix shape = {.format = {kernels::WeightScheme::kNf4DoubleQuantized, 64},
                                       .rows = kStagedRows,
                                       .columns = kStagedColumns};
  const int64_t packed_bytes =
      kernels::OperationsOf(shape.format.scheme).stored_bytes(shape).total();
  PackedArena arena({shape}, GuardedDevice());
  ForgetWork();
  const int64_t before = BytesOnGuardedDevice();
  const auto host_bytes = std::make_shared<HostBytes>();
  absl::StatusOr<MatrixWeights> matrix;
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, host_bytes);
    matrix = ReadAndQuantize(file, parts, {}, shape, &arena);
  }
  ASSERT_THAT(matrix, IsOk());
  const int64_t on_device = WorkOfGuardedDevice().peak_bytes - before;
  const int64_t scales_bytes =
      kStagedRows * kStagedColumns / 64 * 4;  // in FP32, until all are read
  RecordProperty("staging_bytes", std::to_string(host_bytes->peak() + on_device - packed_bytes));
  EXPECT_GE(on_device, packed_bytes);
  EXPECT_LE(host_bytes->peak() + scales_bytes + on_device, packed_bytes + kStagingBytesMax);
  // Plus no more than some pieces.
  EXPECT_LE(host_bytes->peak() + on_device, packed_bytes + (int64_t{16} << 20));
  EXPECT_LT(WorkOfGuardedDevice().uploaded_bytes, packed_bytes + 64);

  at::Tensor whole = at::empty({kStagedRows, kStagedColumns}, at::kBFloat16);
  ASSERT_THAT(
      file.Read(file.tensors().front(), absl::MakeSpan(static_cast<std::byte*>(whole.data_ptr()),
                                                       static_cast<size_t>(whole.nbytes()))),
      IsOk());
  const auto wanted = PackFloats("matrix", shape.format, whole.to(at::kFloat));
  ASSERT_THAT(wanted, IsOk());
  EXPECT_TRUE(at::equal(matrix->packed.cpu(), wanted->packed));
  EXPECT_TRUE(at::equal(matrix->scales.cpu(), wanted->scales));
}

}  // namespace
}  // namespace wattle::engine
