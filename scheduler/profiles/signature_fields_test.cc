// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Walks profile.proto: the table has each field of a signature, and each field distinguishes rows.
#include "scheduler/profiles/signature_fields.h"

#include <set>
#include <string>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "gtest/gtest.h"

namespace wattle::scheduler {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// `quantization` is the recipe's name. Exceptions that the name leaves out change few matrices.
bool IsRecipe(const FieldDescriptor* field) {
  return field->name() == "recipe";
}

v1::WorkloadSignature MakeSignature() {
  v1::WorkloadSignature signature;
  signature.set_method(v1::METHOD_FINETUNE_FULL);
  signature.mutable_model()->set_architecture("llama");
  signature.mutable_model()->set_layers(6);
  signature.mutable_model()->set_width(384);
  signature.mutable_model()->set_heads(6);
  signature.mutable_model()->set_vocabulary_size(32000);
  signature.mutable_model()->set_context_length(512);
  signature.set_precision("fp32");
  signature.set_quantization("none");
  signature.set_batch_size(8);
  signature.set_sequence_length(128);
  signature.set_engine("wattle");
  signature.set_engine_version("1");
  return signature;
}

void Change(Message& message, const FieldDescriptor* field) {
  const auto& reflection = *message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      reflection.SetInt32(&message, field, reflection.GetInt32(message, field) + 3);
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      reflection.SetBool(&message, field, !reflection.GetBool(message, field));
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      reflection.SetEnumValue(&message, field, reflection.GetEnumValue(message, field) + 1);
      return;
    case FieldDescriptor::CPPTYPE_STRING:
      reflection.SetString(&message, field, reflection.GetString(message, field) + "x");
      return;
    default:
      ADD_FAILURE() << field->full_name() << " is of a type without a case here";
  }
}

void ExpectRows(const Descriptor* type, const std::string& prefix, std::set<std::string>* names) {
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (IsRecipe(field)) {
      continue;
    }
    if (field->message_type() != nullptr) {
      ExpectRows(field->message_type(), field->name() + ".", names);
      continue;
    }
    names->insert(prefix + field->name());
    v1::WorkloadSignature changed = MakeSignature();
    Message& owner = prefix.empty() ? static_cast<Message&>(changed) : *changed.mutable_model();
    Change(owner, field);
    EXPECT_NE(SignatureKey(changed), SignatureKey(MakeSignature())) << prefix << field->name();
    int differing = 0;
    for (const SignaturePart part : {SignaturePart::kModel, SignaturePart::kWorkload,
                                     SignaturePart::kScale, SignaturePart::kEngine}) {
      differing += SameIn(part, changed, MakeSignature()) ? 0 : 1;
    }
    EXPECT_EQ(differing, 1) << prefix << field->name();
    const bool other_workload = !SameIn(SignaturePart::kModel, changed, MakeSignature()) ||
                                !SameIn(SignaturePart::kWorkload, changed, MakeSignature());
    EXPECT_EQ(WorkloadDigest(changed) != WorkloadDigest(MakeSignature()),
              other_workload && field->name() != "precision")
        << prefix << field->name();
  }
}

TEST(SignatureFieldsTest, TheTableHasEachFieldAndEachTellsRowsApart) {
  std::set<std::string> in_proto;
  ExpectRows(v1::WorkloadSignature::descriptor(), "", &in_proto);
  std::set<std::string> in_table;
  for (const SignatureField& field : SignatureFields()) {
    EXPECT_TRUE(in_table.emplace(field.name).second) << field.name << " stands twice";
  }
  EXPECT_EQ(in_table, in_proto);
}

TEST(SignatureFieldsTest, ASizeThatIsTheDefaultChangesNothing) {
  v1::WorkloadSignature told = MakeSignature();
  told.mutable_model()->set_kv_heads(6);
  told.mutable_model()->set_head_size(64);
  told.mutable_model()->set_mlp_width(4 * 384);
  EXPECT_EQ(SignatureKey(told), SignatureKey(MakeSignature()));
  EXPECT_TRUE(SameIn(SignaturePart::kModel, told, MakeSignature()));
  EXPECT_EQ(WorkloadDigest(told), WorkloadDigest(MakeSignature()));
  told.mutable_model()->set_kv_heads(2);
  EXPECT_FALSE(SameIn(SignaturePart::kModel, told, MakeSignature()));
}

TEST(SignatureFieldsTest, AnEmptyPrecisionIsAWildcardAndNoQuantizationIsNone) {
  v1::WorkloadSignature open = MakeSignature();
  open.clear_precision();
  open.clear_quantization();
  EXPECT_TRUE(SameIn(SignaturePart::kWorkload, open, MakeSignature()));
  EXPECT_NE(SignatureKey(open), SignatureKey(MakeSignature()));
  EXPECT_EQ(WorkloadDigest(open), WorkloadDigest(MakeSignature()));
}

}  // namespace
}  // namespace wattle::scheduler
