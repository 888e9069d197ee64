// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/testing/host_kernels.h"

#include <algorithm>

#include "worker/engine/device/cuda/kernels/adafactor.cu"
#include "worker/engine/device/cuda/kernels/adamw.cu"
#include "worker/engine/device/cuda/kernels/adamw_8bit.cu"
#include "worker/engine/device/cuda/kernels/attention.cu"
#include "worker/engine/device/cuda/kernels/choose.cu"
#include "worker/engine/device/cuda/kernels/cross_entropy.cu"
#include "worker/engine/device/cuda/kernels/draw.cu"
#include "worker/engine/device/cuda/kernels/dropout.cu"
#include "worker/engine/device/cuda/kernels/finish.cu"
#include "worker/engine/device/cuda/kernels/masked_softmax.cu"
#include "worker/engine/device/cuda/kernels/norm.cu"
#include "worker/engine/device/cuda/kernels/product_bf16.cu"
#include "worker/engine/device/cuda/kernels/product_fp16.cu"
#include "worker/engine/device/cuda/kernels/product_fp32.cu"
#include "worker/engine/device/cuda/kernels/product_int4.cu"
#include "worker/engine/device/cuda/kernels/product_int4a.cu"
#include "worker/engine/device/cuda/kernels/product_int6.cu"
#include "worker/engine/device/cuda/kernels/product_int8.cu"
#include "worker/engine/device/cuda/kernels/product_int8g.cu"
#include "worker/engine/device/cuda/kernels/product_nf4.cu"
#include "worker/engine/device/cuda/kernels/product_nf4dq.cu"
#include "worker/engine/device/cuda/kernels/rms_norm.cu"
#include "worker/engine/device/cuda/kernels/rotary.cu"

namespace wattle::cuda {
namespace {

template <typename Arguments, void (*kKernel)(Arguments)>
void Run(const void* arguments) {
  kKernel(*static_cast<const Arguments*>(arguments));
}

#define WATTLE_KERNEL(source, name, Arguments)                \
  HostKernel {                                                \
#source, #name, sizeof(Arguments), Run < Arguments, name> \
  }
#define WATTLE_PRODUCT(format)                                                     \
  WATTLE_KERNEL(product_##format, product_##format##_rows1, ProductArguments),     \
      WATTLE_KERNEL(product_##format, product_##format##_rows2, ProductArguments), \
      WATTLE_KERNEL(product_##format, product_##format##_rows4, ProductArguments), \
      WATTLE_KERNEL(product_##format, product_##format##_rows8, ProductArguments), \
      WATTLE_KERNEL(product_##format, embed_##format, EmbedArguments),             \
      WATTLE_KERNEL(product_##format, dequantize_##format, DequantizeArguments)

constexpr HostKernel kKernels[] = {
    WATTLE_PRODUCT(bf16),
    WATTLE_PRODUCT(fp16),
    WATTLE_PRODUCT(fp32),
    WATTLE_PRODUCT(int4),
    WATTLE_PRODUCT(int4a),
    WATTLE_PRODUCT(int6),
    WATTLE_PRODUCT(int8),
    WATTLE_PRODUCT(int8g),
    WATTLE_PRODUCT(nf4),
    WATTLE_PRODUCT(nf4dq),
    WATTLE_KERNEL(adafactor, adafactor_rows, AdafactorArguments),
    WATTLE_KERNEL(adafactor, adafactor_columns, AdafactorArguments),
    WATTLE_KERNEL(adafactor, adafactor_factors, AdafactorArguments),
    WATTLE_KERNEL(adafactor, adafactor_squares, AdafactorArguments),
    WATTLE_KERNEL(adafactor, adafactor_rate, AdafactorArguments),
    WATTLE_KERNEL(adafactor, adafactor_update, AdafactorArguments),
    WATTLE_KERNEL(adafactor, adafactor_update_bf16, AdafactorArguments),
    WATTLE_KERNEL(adamw, adamw, AdamWArguments),
    WATTLE_KERNEL(adamw, adamw_bf16, AdamWArguments),
    WATTLE_KERNEL(adamw_8bit, adamw_8bit, AdamW8bitArguments),
    WATTLE_KERNEL(adamw_8bit, adamw_8bit_bf16, AdamW8bitArguments),
    WATTLE_KERNEL(attention, attention_64, AttentionArguments),
    WATTLE_KERNEL(attention, attention_128, AttentionArguments),
    WATTLE_KERNEL(attention, attention_256, AttentionArguments),
    WATTLE_KERNEL(choose, choose, ChooseArguments),
    WATTLE_KERNEL(cross_entropy, cross_entropy, CrossEntropyArguments),
    WATTLE_KERNEL(draw, weigh, DrawArguments),
    WATTLE_KERNEL(draw, draw, DrawArguments),
    WATTLE_KERNEL(dropout, drop_out, DropoutArguments),
    WATTLE_KERNEL(finish, finish_rows, FinishArguments),
    WATTLE_KERNEL(norm, norm_rows, NormArguments),
    WATTLE_KERNEL(rms_norm, rms_norm, RmsNormArguments),
    WATTLE_KERNEL(rms_norm, rms_norm_backward, RmsNormBackwardArguments),
    WATTLE_KERNEL(rms_norm, rms_gain_sums, RmsNormBackwardArguments),
    WATTLE_KERNEL(rms_norm, rms_gain, RmsNormBackwardArguments),
    WATTLE_KERNEL(rotary, rotary, RotaryArguments),
    WATTLE_KERNEL(masked_softmax, masked_softmax, MaskedSoftmaxArguments),
    WATTLE_KERNEL(masked_softmax, masked_softmax_backward, MaskedSoftmaxBackwardArguments),
};

#undef WATTLE_PRODUCT
#undef WATTLE_KERNEL

}  // namespace

absl::Span<const HostKernel> HostKernels() {
  return kKernels;
}

const HostKernel* FindHostKernel(absl::string_view name) {
  const auto* found = std::find_if(std::begin(kKernels), std::end(kKernels),
                                   [&](const HostKernel& kernel) { return kernel.name == name; });
  return found == std::end(kKernels) ? nullptr : found;
}

}  // namespace wattle::cuda
