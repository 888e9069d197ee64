// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attention of one head over its cache (HeadAttention in kernel_table.h), over the sixteen lanes of
// lanes_*.h, one of which is included before this file. Keys are in panels of 16 positions, one
// lane per position, so scores need no sum across lanes; values are stored position by position,
// one lane per channel. Up to four consecutive positions share each read of the cache.
#ifndef WATTLE_WORKER_ENGINE_KERNELS_ISA_ATTENTION_INL_H_
#define WATTLE_WORKER_ENGINE_KERNELS_ISA_ATTENTION_INL_H_

#include <cstdint>

#include "worker/engine/kernels/isa/functions_inl.h"
#include "worker/engine/kernels/isa/kernel_table.h"

namespace wattle::kernels {
namespace {

constexpr int kQueryBlock = 4;

// The queries of one block as int8.
struct QueryCodes {
  alignas(64) int8_t codes[kQueryBlock][kMaxHeadSize];
  float scales[kQueryBlock];
  int32_t sums[kQueryBlock];
};

// scores[t][16 panel …] for an FP32 panel of keys, [head_size][16].
template <int kQueries>
inline void ScorePanelFloat(const HeadAttention& task, int64_t query, int64_t panel) {
  const float* keys = static_cast<const float*>(task.keys) + panel * 16 * task.head_size;
  const float* queries = task.queries + query * task.query_stride;
  F sums[kQueries][2];
  for (auto& pair : sums) {
    pair[0] = Set(0.0F);
    pair[1] = Set(0.0F);
  }
  for (int64_t d = 0; d < task.head_size; d += 2) {
    for (int half = 0; half < 2; ++half) {
      const F key = Load(keys + (d + half) * 16);
      for (int t = 0; t < kQueries; ++t) {
        sums[t][half] =
            Add(sums[t][half], Mul(key, Set(queries[t * task.query_stride + d + half])));
      }
    }
  }
  for (int t = 0; t < kQueries; ++t) {
    Store(task.scores + t * task.score_stride + panel * 16, Add(sums[t][0], sums[t][1]));
  }
}

// Scores for int8 keys, [head_size / 4][16][4].
template <int kQueries>
inline void ScorePanelInt8(const HeadAttention& task, const QueryCodes& queries, int64_t panel) {
  const auto* line = static_cast<const uint8_t*>(task.keys) + panel * 16 * task.head_size;
  I dots[kQueries];
  for (int t = 0; t < kQueries; ++t) {
    dots[t] = SetInt(-kSignedRaise * queries.sums[t]);
  }
  for (int64_t d = 0; d < task.head_size; d += 4, line += 64) {
    const W keys = Raise(LoadBytes(line));
    for (int t = 0; t < kQueries; ++t) {
      dots[t] = DotSigned(dots[t], keys, queries.codes[t] + d);
    }
  }
  const F key_scales = Load(task.key_scales + panel * 16);
  for (int t = 0; t < kQueries; ++t) {
    Store(task.scores + t * task.score_stride + panel * 16,
          Mul(Mul(ToFloat(dots[t]), Set(queries.scales[t])), key_scales));
  }
}

// Turns the scores of positions [first, last] into e^(score - largest), and all others of their
// panels into 0. Returns the sum.
inline float Exponentials(float* scores, int64_t first, int64_t last) {
  const int64_t begin = first / 16 * 16;
  const int64_t end = last / 16 * 16 + 16;
  for (int64_t i = begin; i < first; ++i) {
    scores[i] = -3e38F;
  }
  for (int64_t i = last + 1; i < end; ++i) {
    scores[i] = -3e38F;
  }
  F most = Load(scores + begin);
  for (int64_t i = begin + 16; i < end; i += 16) {
    most = Max(Load(scores + i), most);
  }
  const F largest = Set(ReduceMax(most));
  for (int64_t i = begin; i < end; i += 16) {
    Store(scores + i, Exponential(Sub(Load(scores + i), largest)));
  }
  for (int64_t i = begin; i < first; ++i) {
    scores[i] = 0.0F;
  }
  for (int64_t i = last + 1; i < end; ++i) {
    scores[i] = 0.0F;
  }
  F sum = Set(0.0F);
  for (int64_t i = begin; i < end; i += 16) {
    sum = Add(sum, Load(scores + i));
  }
  return ReduceAdd(sum);
}

// out[t][16 chunk …] = Σ_p scores[t][p] values[p][…] / sum[t] for kChunks runs of 16 channels.
template <int kQueries, int kChunks>
inline void WeighValues(const HeadAttention& task, int64_t query, int64_t chunk, int64_t first,
                        int64_t last, const float* sums) {
  F out[kQueries][kChunks];
  for (auto& row : out) {
    for (F& lanes : row) {
      lanes = Set(0.0F);
    }
  }
  for (int64_t p = first; p <= last; ++p) {
    const int64_t place = p * task.head_size + chunk * 16;
    F values[kChunks];
    for (int c = 0; c < kChunks; ++c) {
      values[c] = task.int8 ? LoadInt8(static_cast<const int8_t*>(task.values) + place + c * 16)
                            : Load(static_cast<const float*>(task.values) + place + c * 16);
    }
    for (int t = 0; t < kQueries; ++t) {
      const F weight = Set(task.scores[t * task.score_stride + p]);
      for (int c = 0; c < kChunks; ++c) {
        out[t][c] = Add(out[t][c], Mul(weight, values[c]));
      }
    }
  }
  for (int t = 0; t < kQueries; ++t) {
    for (int c = 0; c < kChunks; ++c) {
      Store(task.out + (query + t) * task.out_stride + (chunk + c) * 16,
            Div(out[t][c], Set(sums[t])));
    }
  }
}

inline void QuantizeQueries(const HeadAttention& task, int64_t query, int count, QueryCodes& out) {
  for (int t = 0; t < count; ++t) {
    QuantizeInput({.values = task.queries + (query + t) * task.query_stride,
                   .columns = task.head_size,
                   .group = task.head_size,
                   .codes = out.codes[t],
                   .code_stride = task.head_size,
                   .scales = &out.scales[t],
                   .sums = &out.sums[t]});
  }
}

inline int64_t FirstSeen(const HeadAttention& task, int64_t position) {
  return task.window > 0 && position + 1 > task.window ? position + 1 - task.window : 0;
}

template <int kQueries>
inline void AttendBlock(const HeadAttention& task, int64_t query) {
  const int64_t position = task.first_position + query;
  const int64_t first = FirstSeen(task, position);
  const int64_t last = position + kQueries - 1;
  QueryCodes codes;
  if (task.int8) {
    QuantizeQueries(task, query, kQueries, codes);
  }
  for (int64_t panel = first / 16; panel <= last / 16; ++panel) {
    if (task.int8) {
      ScorePanelInt8<kQueries>(task, codes, panel);
    } else {
      ScorePanelFloat<kQueries>(task, query, panel);
    }
  }
  float sums[kQueries];
  for (int t = 0; t < kQueries; ++t) {
    float* scores = task.scores + t * task.score_stride;
    sums[t] = Exponentials(scores, FirstSeen(task, position + t), position + t);
    // Panels of the block beyond this position.
    for (int64_t p = first / 16 * 16; p < FirstSeen(task, position + t) / 16 * 16; ++p) {
      scores[p] = 0.0F;
    }
    for (int64_t p = (position + t) / 16 * 16 + 16; p <= last; ++p) {
      scores[p] = 0.0F;
    }
    if (task.int8) {
      for (int64_t p = first / 16 * 16; p <= last; p += 16) {
        Store(scores + p, Mul(Load(scores + p), Load(task.value_scales + p)));
      }
    }
  }
  const int64_t chunks = task.head_size / 16;
  int64_t chunk = 0;
  for (; chunk + 4 <= chunks; chunk += 4) {
    WeighValues<kQueries, 4>(task, query, chunk, first, last, sums);
  }
  for (; chunk < chunks; ++chunk) {
    WeighValues<kQueries, 1>(task, query, chunk, first, last, sums);
  }
}

inline void Attend(const HeadAttention& task) {
  int64_t query = 0;
  for (; query + kQueryBlock <= task.count; query += kQueryBlock) {
    AttendBlock<kQueryBlock>(task, query);
  }
  for (; query < task.count; ++query) {
    AttendBlock<1>(task, query);
  }
}

}  // namespace
}  // namespace wattle::kernels

#endif  // WATTLE_WORKER_ENGINE_KERNELS_ISA_ATTENTION_INL_H_
