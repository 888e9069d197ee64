// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/signature_fields.h"

#include "absl/strings/str_cat.h"

namespace wattle::scheduler {
namespace {

using Signature = v1::WorkloadSignature;

std::string TextOf(int number) {
  return absl::StrCat(number);
}
std::string TextOf(absl::string_view text) {
  return std::string(text);
}
std::string TextOf(v1::Method method) {
  return v1::Method_Name(method);
}

// FNV-1a, 64 bits (draft-eastlake-fnv).
constexpr uint64_t kDigestBegin = 0xcbf29ce484222325u;
constexpr uint64_t kDigestPrime = 0x100000001b3u;

uint64_t DigestOf(int number) {
  return static_cast<uint64_t>(number);
}
uint64_t DigestOf(absl::string_view text) {
  return TextDigest(text);
}

// Builds a row of the table from the function that reads the field.
template <auto kGet>
constexpr SignatureField Field(absl::string_view name, SignaturePart part,
                               absl::string_view before) {
  return {name,
          part,
          before,
          [](const Signature& signature) { return TextOf(kGet(signature)); },
          [](const Signature& a, const Signature& b) { return kGet(a) == kGet(b); },
          [](const Signature& signature) { return DigestOf(kGet(signature)); }};
}

absl::string_view Quantization(const Signature& signature) {
  return signature.quantization().empty() ? absl::string_view("none")
                                          : absl::string_view(signature.quantization());
}

// A size that equals the default counts as absent.
int KvHeads(const v1::ModelShape& model) {
  return model.kv_heads() == model.heads() ? 0 : model.kv_heads();
}
int HeadSize(const v1::ModelShape& model) {
  return int64_t{model.head_size()} * model.heads() == model.width() ? 0 : model.head_size();
}
int MlpWidth(const v1::ModelShape& model) {
  return model.mlp_width() == int64_t{4} * model.width() ? 0 : model.mlp_width();
}

}  // namespace

absl::Span<const SignatureField> SignatureFields() {
  using enum SignaturePart;
  static constexpr SignatureField kFields[] = {
      Field<[](const Signature& s) { return s.method(); }>("method", kWorkload, "|"),
      Field<[](const Signature& s) -> absl::string_view { return s.model().architecture(); }>(
          "model.architecture", kModel, "|"),
      Field<[](const Signature& s) { return s.model().layers(); }>("model.layers", kModel, "/"),
      Field<[](const Signature& s) { return s.model().width(); }>("model.width", kModel, "x"),
      Field<[](const Signature& s) { return s.model().heads(); }>("model.heads", kModel, "x"),
      Field<[](const Signature& s) { return s.model().vocabulary_size(); }>("model.vocabulary_size",
                                                                            kModel, "/"),
      Field<[](const Signature& s) { return s.model().context_length(); }>("model.context_length",
                                                                           kScale, "/"),
      {"precision", kWorkload, "|", [](const Signature& s) { return s.precision(); },
       // An empty precision is a wildcard.
       [](const Signature& a, const Signature& b) {
         return a.precision().empty() || b.precision().empty() || a.precision() == b.precision();
       },
       [](const Signature&) { return uint64_t{0}; }},
      {"quantization", kWorkload, "|", [](const Signature& s) { return s.quantization(); },
       [](const Signature& a, const Signature& b) { return Quantization(a) == Quantization(b); },
       [](const Signature& s) { return DigestOf(Quantization(s)); }},
      Field<[](const Signature& s) { return s.batch_size(); }>("batch_size", kScale, "|batch "),
      Field<[](const Signature& s) { return s.sequence_length(); }>("sequence_length", kScale,
                                                                    "|length "),
      Field<[](const Signature& s) -> absl::string_view { return s.engine(); }>("engine", kEngine,
                                                                                "|"),
      Field<[](const Signature& s) -> absl::string_view { return s.engine_version(); }>(
          "engine_version", kEngine, "|"),
      Field<[](const Signature& s) { return s.adapter_rank(); }>("adapter_rank", kWorkload,
                                                                 "|rank "),
      Field<[](const Signature& s) { return s.activation_checkpointing() ? 1 : 0; }>(
          "activation_checkpointing", kWorkload, "|checkpointing "),
      Field<[](const Signature& s) { return KvHeads(s.model()); }>("model.kv_heads", kModel,
                                                                   "|kv heads "),
      Field<[](const Signature& s) { return HeadSize(s.model()); }>("model.head_size", kModel,
                                                                    "|head size "),
      Field<[](const Signature& s) { return MlpWidth(s.model()); }>("model.mlp_width", kModel,
                                                                    "|mlp width "),
      Field<[](const Signature& s) { return s.model().untied_head() ? 1 : 0; }>(
          "model.untied_head", kModel, "|untied head "),
      Field<[](const Signature& s) { return s.trained_layers(); }>("trained_layers", kWorkload,
                                                                   "|last layers "),
      Field<[](const Signature& s) { return s.packing() ? 1 : 0; }>("packing", kWorkload,
                                                                    "|packing "),
      Field<[](const Signature& s) -> absl::string_view { return s.optimizer(); }>(
          "optimizer", kWorkload, "|optimizer "),
      Field<[](const Signature& s) { return s.update_in_backward() ? 1 : 0; }>(
          "update_in_backward", kWorkload, "|update in backward "),
  };
  return kFields;
}

std::string SignatureKey(const v1::WorkloadSignature& signature) {
  std::string key;
  for (const SignatureField& field : SignatureFields()) {
    absl::StrAppend(&key, field.before, field.text(signature));
  }
  return key;
}

bool SameIn(SignaturePart part, const v1::WorkloadSignature& a, const v1::WorkloadSignature& b) {
  for (const SignatureField& field : SignatureFields()) {
    if (field.part == part && !field.same(a, b)) {
      return false;
    }
  }
  return true;
}

uint64_t TextDigest(absl::string_view text) {
  uint64_t digest = kDigestBegin;
  for (const char byte : text) {
    digest = (digest ^ static_cast<unsigned char>(byte)) * kDigestPrime;
  }
  return digest;
}

uint64_t WorkloadDigest(const v1::WorkloadSignature& signature) {
  uint64_t digest = kDigestBegin;
  for (const SignatureField& field : SignatureFields()) {
    if (field.part == SignaturePart::kModel || field.part == SignaturePart::kWorkload) {
      digest = (digest ^ field.digest(signature)) * kDigestPrime;
    }
  }
  return digest;
}

int LengthOf(const v1::WorkloadSignature& signature) {
  return signature.sequence_length() > 0 ? signature.sequence_length()
                                         : signature.model().context_length();
}

}  // namespace wattle::scheduler
