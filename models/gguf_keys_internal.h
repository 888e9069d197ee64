// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keys of GGUF metadata. A leading "%" is replaced by the architecture's name: "%block_count" is
// "llama.block_count".
#ifndef WATTLE_MODELS_GGUF_KEYS_INTERNAL_H_
#define WATTLE_MODELS_GGUF_KEYS_INTERNAL_H_

namespace wattle::models {

inline constexpr char kArchitecture[] = "general.architecture";
inline constexpr char kSplitCount[] = "split.count";
inline constexpr char kContextLength[] = "%context_length";
inline constexpr char kEmbeddingLength[] = "%embedding_length";
inline constexpr char kBlockCount[] = "%block_count";
inline constexpr char kFeedForwardLength[] = "%feed_forward_length";
inline constexpr char kParallelResidual[] = "%use_parallel_residual";
inline constexpr char kExpertCount[] = "%expert_count";
inline constexpr char kVocabularySize[] = "%vocab_size";
inline constexpr char kLogitSoftcap[] = "%final_logit_softcapping";
inline constexpr char kHeadCount[] = "%attention.head_count";
inline constexpr char kHeadCountKv[] = "%attention.head_count_kv";
inline constexpr char kKeyLength[] = "%attention.key_length";
inline constexpr char kValueLength[] = "%attention.value_length";
inline constexpr char kNormEpsilon[] = "%attention.layer_norm_epsilon";
inline constexpr char kRmsEpsilon[] = "%attention.layer_norm_rms_epsilon";
inline constexpr char kSlidingWindow[] = "%attention.sliding_window";
inline constexpr char kAttentionSoftcap[] = "%attn_logit_softcapping";
inline constexpr char kRopeDimensions[] = "%rope.dimension_count";
inline constexpr char kRopeBase[] = "%rope.freq_base";
inline constexpr char kRopeScalingType[] = "%rope.scaling.type";
inline constexpr char kRopeScalingFactor[] = "%rope.scaling.factor";
inline constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
inline constexpr char kTokenTypesKey[] = "tokenizer.ggml.token_type";
inline constexpr char kBeginId[] = "tokenizer.ggml.bos_token_id";
inline constexpr char kEndId[] = "tokenizer.ggml.eos_token_id";
inline constexpr char kEndOfTurnId[] = "tokenizer.ggml.eot_token_id";
inline constexpr char kEndOfMessageId[] = "tokenizer.ggml.eom_token_id";

}  // namespace wattle::models

#endif  // WATTLE_MODELS_GGUF_KEYS_INTERNAL_H_
