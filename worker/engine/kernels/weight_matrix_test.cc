// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The contract of the formats' table, run for every format: names, shapes, sizes, losslessness of
// packing, the error of rounding.
#include "worker/engine/kernels/weight_matrix.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/engine/kernels/random.h"
#include "worker/engine/kernels/testing/test_matrix.h"

namespace wattle::kernels {
namespace {

using testing::HasSubstr;

class FormatTest : public testing::TestWithParam<WeightFormat> {};

INSTANTIATE_TEST_SUITE_P(AllFormats, FormatTest, testing::ValuesIn(EveryFormat()),
                         [](const testing::TestParamInfo<WeightFormat>& param) {
                           return NameForTest(param.param);
                         });

TEST_P(FormatTest, NameIsReadBack) {
  const absl::StatusOr<WeightFormat> format = ParseFormatName(FormatName(GetParam()));
  ASSERT_TRUE(format.ok()) << format.status();
  EXPECT_EQ(*format, GetParam());
}

TEST_P(FormatTest, DequantizedRowsAreWhatTheCodecSays) {
  const auto& operations = OperationsOf(GetParam().scheme);
  if (operations.codec == nullptr) {
    GTEST_SKIP() << "no codes";
  }
  constexpr int64_t kRows = 37;  // two panels and a part
  constexpr int64_t kColumns = 256;
  const OwnedMatrix owned(GetParam(), kRows, kColumns, 1);
  std::vector<int8_t> codes(kRows * kColumns);
  std::vector<GroupScale> scales(static_cast<size_t>(kRows * GroupsOfRow(owned.matrix)));
  RoundToNearest(owned.matrix, owned.weights.data(), absl::MakeSpan(codes), absl::MakeSpan(scales));
  std::vector<float> rows(kRows * kColumns);
  operations.dequantize(owned.matrix, 0, kRows, rows.data());
  const int64_t group = GroupColumns(owned.matrix);
  for (int64_t i = 0; i < kRows * kColumns; ++i) {
    const auto at = static_cast<size_t>(i);
    ASSERT_EQ(rows[at], operations.codec->decode(codes[at], scales[static_cast<size_t>(i / group)]))
        << i;
  }
  std::vector<float> some(3 * kColumns);
  operations.dequantize(owned.matrix, 15, 18, some.data());
  EXPECT_TRUE(std::equal(some.begin(), some.end(), rows.begin() + 15 * kColumns));
}

// Largest error of a weight in units of the largest magnitude of its group: half a step, plus the
// error of the FP16 scale. NF4's widest gap is 39 of 127.
double ErrorBound(WeightScheme scheme) {
  switch (scheme) {
    case WeightScheme::kFloat32:
      return 0.0;
    case WeightScheme::kInt8:
      return 0.5 / 127 + 1e-6;
    case WeightScheme::kInt8Grouped:
      return 0.5 / 127 + 1e-3;
    case WeightScheme::kFloat16:
      return 1.0 / 2048;
    case WeightScheme::kBf16:
      return 1.0 / 256;
    case WeightScheme::kInt4:
      // At the far end of the other sign one step is clipped: 8 of 8 where 7 is the last code.
      return 1.0 / 8 + 1e-3;
    case WeightScheme::kInt4Asymmetric:
      return 1.0 / 15 + 2e-3;
    case WeightScheme::kNf4:
      return 39.0 / 127 / 2 + 1e-3;
    case WeightScheme::kInt6:
      // Half a step of 31, plus the error of rounding the group's scale to 127 parts of the
      // block's.
      return 0.5 / 31 + 0.5 / 31;
    case WeightScheme::kNf4DoubleQuantized:
      break;  // see engine/models/nf4_double_test.cc
  }
  return 0.0;
}

TEST_P(FormatTest, RoundingErrsByAtMostTheFormatsStep) {
  constexpr int64_t kRows = 20;
  const int64_t kColumns = ColumnsFor(GetParam(), 384);
  const OwnedMatrix owned(GetParam(), kRows, kColumns, 2);
  std::vector<float> rows(static_cast<size_t>(kRows * kColumns));
  OperationsOf(GetParam().scheme).dequantize(owned.matrix, 0, kRows, rows.data());
  const int64_t group = GroupColumns(owned.matrix);
  for (int64_t start = 0; start < kRows * kColumns; start += group) {
    double largest = 0.0;
    for (int64_t i = start; i < start + group; ++i) {
      largest = std::max(largest, std::fabs(double{owned.weights[static_cast<size_t>(i)]}));
    }
    for (int64_t i = start; i < start + group; ++i) {
      const auto at = static_cast<size_t>(i);
      ASSERT_NEAR(rows[at], owned.weights[at], largest * ErrorBound(GetParam().scheme)) << i;
    }
  }
}

TEST_P(FormatTest, RoundedWeightsAreRoundedToThemselves) {
  constexpr int64_t kRows = 17;
  const int64_t kColumns = ColumnsFor(GetParam(), 128);
  const OwnedMatrix once(GetParam(), kRows, kColumns, 3);
  std::vector<float> rows(static_cast<size_t>(kRows * kColumns));
  OperationsOf(GetParam().scheme).dequantize(once.matrix, 0, kRows, rows.data());
  const OwnedMatrix twice(GetParam(), kRows, kColumns, rows);
  std::vector<float> again(rows.size());
  OperationsOf(GetParam().scheme).dequantize(twice.matrix, 0, kRows, again.data());
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_NEAR(again[i], rows[i], 1e-3 * std::fabs(rows[i]) + 1e-6) << i;
  }
}

TEST_P(FormatTest, ZeroRowsStayZero) {
  const int64_t columns = ColumnsFor(GetParam(), 128);
  const std::vector<float> zeros(static_cast<size_t>(16 * columns), 0.0F);
  const OwnedMatrix owned(GetParam(), 16, columns, zeros);
  std::vector<float> rows(zeros.size(), 1.0F);
  OperationsOf(GetParam().scheme).dequantize(owned.matrix, 0, 16, rows.data());
  EXPECT_EQ(rows, zeros);
}

TEST_P(FormatTest, WeightThatIsNotFiniteIsRefusedWithItsPlace) {
  const int64_t columns = ColumnsFor(GetParam(), 128);
  OwnedMatrix owned(GetParam(), 16, columns, 4);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    owned.weights[static_cast<size_t>(3 * columns + 5)] = bad;
    const absl::Status status = Quantize(owned.matrix, owned.weights.data(), owned.buffers());
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("row 3, column 5"));
  }
}

TEST_P(FormatTest, BytesPerWeightAreThePromised) {
  const WeightMatrix shape{.format = GetParam(), .rows = 1024, .columns = 1024};
  const StoredBytes bytes = OperationsOf(GetParam().scheme).stored_bytes(shape);
  const int64_t groups = GetParam().group_size == 0 ? 0 : 1024 * 1024 / GetParam().group_size;
  int64_t scales = 2 * groups;  // none for formats without groups, such as FP16
  if (GetParam().scheme == WeightScheme::kInt8) {
    scales = 1024 * 4;
  } else if (GetParam().scheme == WeightScheme::kInt4Asymmetric) {
    scales = 4 * groups;
  } else if (GetParam().scheme == WeightScheme::kInt6) {
    scales = groups + 1024 * 1024 / 256 * 2;
  }
  EXPECT_EQ(bytes.packed, 1024 * 1024 * OperationsOf(GetParam().scheme).bits / 8);
  EXPECT_EQ(bytes.scales, scales);
}

TEST(CheckShapeTest, SaysWhatIsWrongAndWhatWouldDo) {
  EXPECT_THAT(CheckShape({WeightScheme::kInt4, 64}, 8, 100).message(),
              HasSubstr("a row of 100 weights cannot be cut into groups of 64; use"));
  EXPECT_THAT(CheckShape({WeightScheme::kInt4, 48}, 8, 96).message(),
              HasSubstr("wanted 32, 64, 128"));
  EXPECT_THAT(CheckShape({WeightScheme::kInt8, 64}, 8, 64).message(),
              HasSubstr("int8 has no groups"));
  EXPECT_THAT(CheckShape({WeightScheme::kFloat32, 0}, 0, 64).message(), HasSubstr("0 x 64"));
  EXPECT_TRUE(CheckShape({WeightScheme::kInt8, 0}, 1, 1).ok());
  EXPECT_THAT(CheckShape({WeightScheme::kInt6, 16}, 8, 768 + 16).message(),
              HasSubstr("a row of 784 weights cannot be cut into blocks of 256 (int6); use"));
  EXPECT_THAT(CheckShape({WeightScheme::kInt6, 32}, 8, 256).message(), HasSubstr("wanted 16"));
}

TEST(ParseFormatNameTest, NamesTheKnownFormats) {
  const absl::Status status = ParseFormatName("int3").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), testing::AllOf(HasSubstr("\"int3\""), HasSubstr("int4a-g128")));
}

TEST(OperationsOfTest, EverySchemeHasItsLine) {
  for (const FormatOperations& format : AllFormats()) {
    EXPECT_EQ(&OperationsOf(format.scheme), &format);
  }
  EXPECT_EQ(AllFormats().size(), 9U);
}

}  // namespace
}  // namespace wattle::kernels
